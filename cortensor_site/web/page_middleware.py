"""Django's middleware for pages, which API requests skip.

Most of Django's own middleware uses a thread for a moment before and after each request. Cookies,
forms and frames matter to browsers only. An API request with credentials in the Authorization
header does not need them.
"""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.security import SecurityMiddleware

API = ("/api/", "/v1/", "/ipfs/")
PROBES = ("/healthz", "/health", "/readyz", "/metrics")

Answer = HttpResponseBase | Awaitable[HttpResponseBase]


def is_programs(request: HttpRequest) -> bool:
    """Return whether the request is an API request with its own credentials."""
    return "HTTP_AUTHORIZATION" in request.META and request.path_info.startswith(API)


def is_page(request: HttpRequest) -> bool:
    """Return whether the request is for a page. The Host header is checked for pages only.

    API requests do not depend on the Host header. Views that do check it themselves.
    """
    return not request.path_info.startswith(API) and request.path_info not in PROBES


class _ForPages:
    """Mixin that passes API requests through unchanged."""

    get_response: Callable[[HttpRequest], Answer]

    def __call__(self, request: HttpRequest) -> Answer:
        if is_programs(request):
            return self.get_response(request)
        return cast(Answer, super().__call__(request))  # type: ignore[misc]


class Sessions(_ForPages, SessionMiddleware):
    """Django's session cookies, for pages only."""


class Accounts(_ForPages, AuthenticationMiddleware):
    """Django's authentication by session, for pages only."""


class Messages(_ForPages, MessageMiddleware):
    """Django's messages, for pages only."""


class Frames(_ForPages, XFrameOptionsMiddleware):
    """Django's protection against framing, for pages only."""


class Security(SecurityMiddleware):
    """Django's security headers for all requests, without threads. Django's own class uses two."""

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        refused = self.process_request(request)
        answer = refused or await cast(Awaitable[HttpResponseBase], self.get_response(request))
        return self.process_response(request, cast(HttpResponse, answer))


class Common(CommonMiddleware):
    """Django's common middleware for pages. API requests get a Content-Length header only."""

    get_response: Callable[[HttpRequest], Answer]

    def __call__(self, request: HttpRequest) -> Answer:
        if is_page(request):
            return super().__call__(request)
        answer = self.get_response(request)
        if isinstance(answer, HttpResponseBase):
            return _with_length(answer)
        return _with_length_later(answer)


class Forms(_ForPages, CsrfViewMiddleware):
    """Django's CSRF protection, for pages only."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        if self.async_mode:
            self.process_view = self._process_view_later  # type: ignore[method-assign, assignment]

    async def _process_view_later(self, request: HttpRequest, *view: Any) -> Any:
        if is_programs(request):
            return None
        return await sync_to_async(super().process_view)(request, *view)


async def _with_length_later(answer: Awaitable[HttpResponseBase]) -> HttpResponseBase:
    return _with_length(await answer)


def _with_length(response: HttpResponseBase) -> HttpResponseBase:
    if isinstance(response, HttpResponse) and not response.has_header("Content-Length"):
        response["Content-Length"] = str(len(response.content))
    return response
