"""Errors outside of `/api` and `/v1`: a page for a browser, a problem document for a program.

Programs request paths that other routers have (`/mcp`, `/.well-known/agent.json`), and expect JSON.
A client counts as a browser if its Accept header contains `text/html`; `*/*` does not suffice.
"""

from collections.abc import Callable

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.views import defaults
from rest_framework.exceptions import ParseError
from rest_framework.exceptions import PermissionDenied as Refused

from sessions.faces.common.problems import problem_response

Page = Callable[..., HttpResponse]


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """`handler400`."""
    plain = type(exception) is SuspiciousOperation
    shown = ParseError("this router does not answer such a request") if plain else exception
    return _answer(request, defaults.bad_request, exception, shown)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """`handler403`."""
    shown = Refused() if isinstance(exception, PermissionDenied) else exception
    return _answer(request, defaults.permission_denied, exception, shown)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """`handler404`."""
    shown = Http404(f"{request.path} is not a path of this router; /api/docs lists them")
    return _answer(request, defaults.page_not_found, exception, shown)


def server_error(request: HttpRequest) -> HttpResponse:
    """`handler500`. Django has logged the error."""
    if _is_browser(request):
        return defaults.server_error(request)
    return problem_response(RuntimeError("an error in a page"))


def _answer(
    request: HttpRequest, page: Page, exception: Exception, shown: Exception
) -> HttpResponse:
    return page(request, exception) if _is_browser(request) else problem_response(shown)


def _is_browser(request: HttpRequest) -> bool:
    return "text/html" in request.headers.get("Accept", "").lower()
