"""Lists in pages, filtered and sorted by query parameters; the published shapes stay as they are.

`limit` and `offset` cut a page out, `ordering` sorts (`-` for descending), other parameters filter.
Where there is more, the header `Link` (RFC 8288) has the next and the previous page, and
`X-Total-Count` says how many there are. A value that makes no sense is a 400 that names it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_aware, make_aware
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.request import Request
from rest_framework.response import Response

LARGEST_PAGE = 200
Reader = Callable[[str], Any]


class Page(LimitOffsetPagination):
    """A page, if one is asked for: without `limit` a list comes as a whole."""

    default_limit = None
    max_limit = LARGEST_PAGE

    def headers(self) -> dict[str, str]:
        """What says how to go on."""
        links = {"next": self.get_next_link(), "prev": self.get_previous_link()}
        parts = [f'<{link}>; rel="{name}"' for name, link in links.items() if link]
        return {"X-Total-Count": str(self.count)} | ({"Link": ", ".join(parts)} if parts else {})


def page_of(
    request: Request,
    rows: Any,
    show: Callable[[Iterable[Any]], list[Any]],
    name: str,
    *,
    is_counted: bool = False,
) -> Response:
    """The page of these rows that the request asks for, as `{name: [...]}`.

    Args:
        show: makes what is shown of a page's rows; all at once, so that it asks for all at once.
        is_counted: whether the answer has `count` as well, of the rows on all pages.
    """
    for parameter in ("limit", "offset"):
        if parameter in request.query_params:
            whole(request.query_params[parameter], parameter, least=parameter == "limit")
    page = Page()
    chosen: list[Any] | None = page.paginate_queryset(rows, request)
    shown = show(rows if chosen is None else chosen)
    count, headers = (len(shown), None) if chosen is None else (page.count, page.headers())
    body: dict[str, Any] = {name: shown} | ({"count": count} if is_counted else {})
    return Response(body, headers=headers)


def filters_of(request: Request, readers: Mapping[str, Reader]) -> dict[str, Any]:
    """The values of the filters that a request has, read; a wrong one is a ValidationError."""
    values = {}
    for name, read in readers.items():
        if (text := request.query_params.get(name, "")) != "":
            try:
                values[name] = read(text)
            except ValueError as error:
                raise ValidationError({name: str(error)}) from error
    return values


def ordering_of(request: Request, fields: Sequence[str], default: str) -> str:
    """The field to sort by, with its sign."""
    asked = request.query_params.get("ordering", "") or default
    if asked.removeprefix("-") not in fields:
        known = ", ".join(f"{name}, -{name}" for name in fields)
        raise ValidationError({"ordering": f"must be one of {known}"})
    return asked


def whole(text: str, name: str, *, least: int = 0) -> int:
    """A whole number that the database can hold. Raises ValidationError."""
    if not (text.isascii() and text.isdecimal() and len(text) < 19 and int(text) >= least):
        kind = "a positive whole number" if least else "a whole number from 0"
        raise ValidationError({name: f"must be {kind}"})
    return int(text)


def number(text: str) -> int:
    """A filter's whole number."""
    if not (text.isascii() and text.isdecimal() and len(text) < 79):
        raise ValueError("must be a whole number")
    return int(text)


def word(text: str) -> str:
    """A filter's text."""
    if "\x00" in text or len(text) > 1_000:
        raise ValueError("must be a text of at most 1,000 characters without NUL")
    return text


def flag(text: str) -> bool:
    """A filter's yes or no."""
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true"


def moment(text: str) -> datetime:
    """A filter's time, in UTC unless it says otherwise."""
    try:
        value = parse_datetime(text)
        # In UTC, since the database takes no displacement of more than 16 hours.
        in_utc = value and (value if is_aware(value) else make_aware(value)).astimezone(UTC)
    except (ValueError, OverflowError):
        in_utc = None
    if in_utc is None:
        raise ValueError("must be a time like 2026-11-24T12:00:00Z")
    return in_utc


def one_of(values: Sequence[str]) -> Reader:
    """A filter that takes one of a few words."""

    def read(text: str) -> str:
        if text not in values:
            raise ValueError(f"must be one of {', '.join(values)}")
        return text

    return read
