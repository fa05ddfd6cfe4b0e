"""Pagination, filters and ordering of lists by query parameters.

`limit` and `offset` select a page, `ordering` sorts (`-` means descending), and the other
parameters filter. The shape of the body does not depend on them. For a page, the header `Link`
(RFC 8288) has the URLs of the next and the previous page, and `X-Total-Count` the number of rows on
all pages. An invalid value results in status 400, and the error names the parameter.
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
    """A page of a list. A request without `limit` gets the whole list."""

    default_limit = None
    max_limit = LARGEST_PAGE

    def headers(self) -> dict[str, str]:
        """Return the headers `X-Total-Count` and `Link`."""
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
    """Return the page of these rows that the request asks for, as `{name: [...]}`.

    Args:
        show: makes the representations of a page's rows. It gets all rows at once, so that it can
            load related rows with one query.
        is_counted: whether the body also has `count`, the number of rows on all pages.
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
    """Parse a request's filters. An invalid value raises ValidationError."""
    values = {}
    for name, read in readers.items():
        if (text := request.query_params.get(name, "")) != "":
            try:
                values[name] = read(text)
            except ValueError as error:
                raise ValidationError({name: str(error)}) from error
    return values


def ordering_of(request: Request, fields: Sequence[str], default: str) -> str:
    """Return the field to sort by, with `-` for descending order."""
    asked = request.query_params.get("ordering", "") or default
    if asked.removeprefix("-") not in fields:
        known = ", ".join(f"{name}, -{name}" for name in fields)
        raise ValidationError({"ordering": f"must be one of {known}"})
    return asked


def whole(text: str, name: str, *, least: int = 0) -> int:
    """Parse a whole number that fits the database's integer column, or raise ValidationError."""
    if not (text.isascii() and text.isdecimal() and len(text) < 19 and int(text) >= least):
        kind = "a positive whole number" if least else "a whole number from 0"
        raise ValidationError({name: f"must be {kind}"})
    return int(text)


def number(text: str) -> int:
    """Parse a filter's whole number."""
    if not (text.isascii() and text.isdecimal() and len(text) < 79):
        raise ValueError("must be a whole number")
    return int(text)


def word(text: str) -> str:
    """Return a filter's text."""
    if "\x00" in text or len(text) > 1_000:
        raise ValueError("must be a text of at most 1,000 characters without NUL")
    return text


def flag(text: str) -> bool:
    """Parse a filter's boolean."""
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true"


def moment(text: str) -> datetime:
    """Parse a filter's time. A time without an offset is in UTC."""
    try:
        value = parse_datetime(text)
        # Convert to UTC, because PostgreSQL rejects offsets of more than 16 hours.
        in_utc = value and (value if is_aware(value) else make_aware(value)).astimezone(UTC)
    except (ValueError, OverflowError):
        in_utc = None
    if in_utc is None:
        raise ValueError("must be a time like 2026-11-24T12:00:00Z")
    return in_utc


def one_of(values: Sequence[str]) -> Reader:
    """Return a reader that accepts only these values."""

    def read(text: str) -> str:
        if text not in values:
            raise ValueError(f"must be one of {', '.join(values)}")
        return text

    return read
