"""The header `X-Request-ID`: echoed to the client and logged. A missing one is generated."""

import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase

from sessions import log_context

HEADER = "X-Request-ID"
_WELL_FORMED = re.compile(r"[\x20-\x7e]{1,128}")

logger = logging.getLogger(__name__)

Answer = HttpResponseBase | Awaitable[HttpResponseBase]


def request_id(request: HttpRequest) -> str:
    """Return the id that the middleware has given to a request."""
    return str(request.META.get("cortensor.request_id", ""))


def echoed(sent: str) -> str:
    """Return the id that a client sent, or a new one if it is not 1 to 128 printable characters."""
    return sent if _WELL_FORMED.fullmatch(sent) else uuid.uuid4().hex


class RequestIdMiddleware:
    """Middleware that is sync and async capable, so that no request needs an additional thread."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Answer]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Answer:
        request.META["cortensor.request_id"] = echoed(request.headers.get(HEADER, ""))
        log_context.bind(request_id=request_id(request))
        started = time.monotonic()
        if self._is_async:
            return self._answer(request, started)
        return _finish(request, cast(HttpResponseBase, self.get_response(request)), started)

    async def _answer(self, request: HttpRequest, started: float) -> HttpResponseBase:
        response = await cast(Awaitable[HttpResponseBase], self.get_response(request))
        return _finish(request, response, started)


def _finish(request: HttpRequest, response: HttpResponseBase, started: float) -> HttpResponseBase:
    response[HEADER] = request_id(request)
    if request.resolver_match is not None:
        ids = request.resolver_match.kwargs
        log_context.bind(**{name: ids[name] for name in ("session_id", "task_id") if name in ids})
    if request.path.startswith(("/api/", "/v1/", "/ipfs/")):
        logger.info(
            "%s %s %s in %d ms, request %s",
            request.method,
            request.path,
            response.status_code,
            (time.monotonic() - started) * 1000,
            request_id(request),
        )
    return response
