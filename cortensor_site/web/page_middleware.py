"""Django's middleware for people's pages, which programs pass by.

Most of Django's own middleware takes a thread for a moment, before and after each request.
Cookies, forms and frames are for browsers: a request of the API that carries its own credentials in
the Authorization header has no use for them.
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
    """Whether a program asks, which says itself who it is."""
    return "HTTP_AUTHORIZATION" in request.META and request.path_info.startswith(API)


def is_page(request: HttpRequest) -> bool:
    """Whether it is for people: the host that a browser names is looked at for these alone.

    What programs ask does not depend on it; what does says so itself.
    """
    return not request.path_info.startswith(API) and request.path_info not in PROBES


class _ForPages:
    """Lets a program's request through untouched."""

    get_response: Callable[[HttpRequest], Answer]

    def __call__(self, request: HttpRequest) -> Answer:
        if is_programs(request):
            return self.get_response(request)
        return cast(Answer, super().__call__(request))  # type: ignore[misc]


class Sessions(_ForPages, SessionMiddleware):
    """Cookies of sessions."""


class Accounts(_ForPages, AuthenticationMiddleware):
    """Who is signed in."""


class Messages(_ForPages, MessageMiddleware):
    """What one page tells the next."""


class Frames(_ForPages, XFrameOptionsMiddleware):
    """No page of ours in another's frame."""


class Security(SecurityMiddleware):
    """Headers for everybody, who pay no threads for them: Django's own takes two."""

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        refused = self.process_request(request)
        answer = refused or await cast(Awaitable[HttpResponseBase], self.get_response(request))
        return self.process_response(request, cast(HttpResponse, answer))


class Common(CommonMiddleware):
    """Addresses and lengths; a program is told the length as well."""

    get_response: Callable[[HttpRequest], Answer]

    def __call__(self, request: HttpRequest) -> Answer:
        if is_page(request):
            return super().__call__(request)
        answer = self.get_response(request)
        if isinstance(answer, HttpResponseBase):
            return _with_length(answer)
        return _with_length_later(answer)


class Forms(_ForPages, CsrfViewMiddleware):
    """Forms that other sites send."""

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
