"""Middleware that measures requests, with the names of OpenTelemetry's HTTP conventions."""

import time
from collections.abc import Awaitable, Callable
from typing import cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from prometheus_client import Histogram

REQUEST_DURATION = Histogram(
    "http_server_request_duration_seconds",
    "From a request's head to the head of its answer",
    ["http_request_method", "http_route", "http_response_status_code"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
Answer = HttpResponseBase | Awaitable[HttpResponseBase]


class MeasureRequests:
    """Middleware for sync and async handlers, so that no request needs an extra thread."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Answer]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Answer:
        started = time.monotonic()
        if self._is_async:
            return self._measured(request, started)
        return _measure(request, cast(HttpResponseBase, self.get_response(request)), started)

    async def _measured(self, request: HttpRequest, started: float) -> HttpResponseBase:
        response = await cast(Awaitable[HttpResponseBase], self.get_response(request))
        return _measure(request, response, started)


def _measure(request: HttpRequest, response: HttpResponseBase, started: float) -> HttpResponseBase:
    # Use only routes and known methods as labels, so that clients cannot create new series.
    match = request.resolver_match
    route = f"/{match.route}" if match is not None and match.route else "other"
    method = request.method if request.method in _METHODS else "_OTHER"
    labels = (str(method), route, str(response.status_code))
    REQUEST_DURATION.labels(*labels).observe(time.monotonic() - started)
    return response
