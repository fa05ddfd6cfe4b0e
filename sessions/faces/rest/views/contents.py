"""`GET /ipfs/{cid}`: results and prompts by their content addresses on chain.

Results are public to everyone who has the address, like the chain itself. Results of encrypted
tasks are envelopes. The setting `PUBLIC_RESULTS=0` makes results private. Prompts and private
results are only for callers that may see their session. No other content is served: it must be a
prompt that this router has stored, or a result that a miner has revealed for one of its tasks. So
nobody can read arbitrary contents through this router's store.
"""

import json
import re
from collections.abc import Iterator

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.http import parse_etags
from django.views.decorators.csrf import csrf_exempt

from chain import storage
from chain.protocol.envelopes import is_envelope
from sessions import ports
from sessions.access import rates
from sessions.access.visibility import sessions_of
from sessions.errors import RequestError
from sessions.faces.common.authentication import identify, signed_in_account
from sessions.faces.common.problems import OtherMethod, problem_response
from sessions.models import Task, TaskOrigin

MAX_CONTENT_BYTES = 4 * 1024 * 1024
"""The limit that also applies where the router itself reads prompts and results."""
FETCH_WITHIN_S = 10.0
_YEAR_S = 365 * 24 * 3600
_CID = re.compile(r"b[a-z2-7]{20,98}")
_RANGE = re.compile(r"bytes=(\d{0,9})-(\d{0,9})")


class ContentUnknown(RequestError):
    """This caller may read no content of that address."""

    code, title, status = "content_not_found", "No such content", 404


class ContentAway(RequestError):
    """The store does not have the content at the moment."""

    code, title, status, retry_after_s = "content_away", "The content cannot be had now", 504, 10


class ContentUnfit(RequestError):
    """The content under the address is neither a prompt nor a result."""

    code, title, status = "content_unfit", "The content is not a task's", 502


@csrf_exempt
def content(request: HttpRequest, cid: str) -> HttpResponse:
    """Return a result or a prompt. Its address is its hash, so the content never changes."""
    try:
        if request.method not in ("GET", "HEAD"):
            raise OtherMethod(request.method or "", "GET")
        is_public = _admit(request, cid)
        response = _answer(request, cid)
    except Exception as error:
        response = problem_response(error)
        response["Access-Control-Allow-Origin"] = "*"
        return response
    scope = "public" if is_public else "private"
    response["Cache-Control"] = f"{scope}, max-age={_YEAR_S}, immutable"
    if not is_public:
        response["Vary"] = "Authorization, Cookie"
    for name, value in _headers(cid):
        response[name] = value
    return response


def _admit(request: HttpRequest, cid: str) -> bool:
    """Count the request, and return whether its content is public.

    Raises:
        ContentUnknown: the content does not exist, or the caller may not read it.
        AuthenticationFailed: the caller's credentials are not valid.
        LimitReached: the caller sends too many requests.
    """
    caller = None
    if "Authorization" in request.headers or signed_in_account(request):
        caller = identify(request)
    else:
        rates.admit_visitor()
    named_by = set(ports.sessions_of_result(cid)) if _CID.fullmatch(cid) else set()
    if named_by and settings.PUBLIC_RESULTS:
        return True
    if _CID.fullmatch(cid) and caller is not None:
        asked = Task.objects.filter(prompt_cid=cid, origin=TaskOrigin.REST)
        named_by |= set(asked.values_list("session_id", flat=True)[:1_000])
        if sessions_of(caller).filter(session_id__in=named_by).exists():
            return False
    raise ContentUnknown(
        f"{cid[:100]} is the address of no content that you may read here",
        remedy="results can be read once they are revealed; a prompt needs a key of an account that"
        " sees its session",
    )


def _answer(request: HttpRequest, cid: str) -> HttpResponse:
    etag = f'"{cid}"'
    if etag in (known := parse_etags(request.headers.get("If-None-Match", ""))) or "*" in known:
        return HttpResponse(status=304)
    body = _read(cid)
    response = HttpResponse(content_type="application/json")
    part = _part(request, etag, len(body))
    if part is None:
        response.content = body
    elif not part:
        response.status_code = 416
        response["Content-Range"] = f"bytes */{len(body)}"
    else:
        response.status_code = 206
        response["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{len(body)}"
        response.content = body[part.start : part.stop]
    response["Content-Length"] = str(len(response.content))
    if request.method == "HEAD":
        response.content = b""
    return response


def _read(cid: str) -> bytes:
    try:
        body = storage.get(cid, MAX_CONTENT_BYTES, within_s=FETCH_WITHIN_S)
    except (storage.StorageUnavailable, storage.BlockMissing, OSError) as error:
        raise ContentAway(
            f"the store does not have {cid} now", remedy="try again, or another IPFS gateway"
        ) from error
    except storage.StorageError as error:
        raise ContentUnfit(f"{cid} is not content that this router serves") from error
    # A miner may have named any content as its result.
    if not is_envelope(body) and not _is_of_task(body):
        raise ContentUnfit(f"{cid} is neither a prompt nor a result")
    return body


def _is_of_task(body: bytes) -> bool:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and any(
        isinstance(value.get(name), str) for name in ("result", "prompt")
    )


def _part(request: HttpRequest, etag: str, size: int) -> range | None:
    """Return the requested range, which may be empty, or None for the complete content."""
    asked = _RANGE.fullmatch(request.headers.get("Range", "").strip())
    if asked is None or request.headers.get("If-Range", etag) != etag:
        return None
    first, last = asked.groups()
    if not first and not last:
        return None
    if not first:
        return range(max(size - int(last), 0), size)
    return range(int(first), min(int(last) + 1 if last else size, size))


def _headers(cid: str) -> Iterator[tuple[str, str]]:
    yield "ETag", f'"{cid}"'
    yield "X-Ipfs-Path", f"/ipfs/{cid}"
    yield "X-Ipfs-Roots", cid
    yield "Accept-Ranges", "bytes"
    # Scripts of any origin may read the content. The other headers keep it from being run as one.
    yield "Access-Control-Allow-Origin", "*"
    yield "Access-Control-Expose-Headers", "Content-Range, ETag, X-Ipfs-Path, X-Ipfs-Roots"
    yield "Cross-Origin-Resource-Policy", "cross-origin"
    yield "Content-Security-Policy", "sandbox; default-src 'none'"
    yield "X-Content-Type-Options", "nosniff"
    yield "X-Robots-Tag", "noindex"
