"""Errors of `/api` as problem documents (RFC 9457).

The content type is `application/problem+json`, and the body
`{"type", "title", "status", "detail", "errors": [{"field", "reason"}]}`. Some errors also have
`remedy` and `field`.
"""

import logging
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import DisallowedHost, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from redis import RedisError
from rest_framework.exceptions import APIException, MethodNotAllowed, ValidationError

from sessions.errors import RequestError

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_S = 5

logger = logging.getLogger(__name__)

_TITLES = {
    400: "The request is not well-formed",
    401: "The API key is missing or wrong",
    403: "Not allowed",
    404: "Not found",
    405: "The method is not allowed here",
    413: "The request is too large",
    415: "The body must be JSON",
    429: "Too many requests",
    500: "The router failed",
    503: "A part of the router is down",
}


class OtherMethod(MethodNotAllowed):
    """The request has a method that the view does not allow. `allowed` is the one that it does."""

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__(method)
        self.allowed = allowed


def require_method(request: HttpRequest, method: str) -> None:
    """Raise OtherMethod if the request has another method."""
    if request.method != method:
        raise OtherMethod(request.method or "", method)


def handle(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """Convert an exception to a response: the REST framework's `EXCEPTION_HANDLER`."""
    return problem_response(error)


@csrf_exempt
def not_found(request: HttpRequest) -> HttpResponse:
    """Answer every unknown path under `/api`."""
    return problem_response(Http404(f"{request.path} is not part of this API"))


def problem_response(error: Exception) -> HttpResponse:
    """Return the response for an error. An unexpected error is logged, and its text is not sent."""
    problem = to_problem(error)
    response = JsonResponse(problem, status=problem["status"], content_type=CONTENT_TYPE)
    if isinstance(error, RequestError) and error.retry_after_s is not None:
        response["Retry-After"] = str(error.retry_after_s)
    elif problem["status"] == 503:
        response["Retry-After"] = str(RETRY_AFTER_S)
    if problem["status"] == 401:
        response["WWW-Authenticate"] = 'Bearer realm="cortensor"'
    if isinstance(error, OtherMethod):
        response["Allow"] = error.allowed
    return response


def to_problem(error: Exception) -> dict[str, Any]:
    """Return the problem document for an error."""
    match error:
        case RequestError():
            return error.to_problem()
        case ValidationError():
            errors = list(_field_errors(error.detail))
            detail = "; ".join(f"{item['field']}: {item['reason']}" for item in errors)
            problem = _problem(400, detail, "A field is not valid", errors)
            return problem | {"remedy": "send each field as /api/docs describes it"}
        case APIException():
            return _problem(error.status_code, str(error.detail))
        case Http404():
            return _problem(404, str(error) or "there is nothing here")
        case DisallowedHost():
            reason = "the request names a host that is not one of this router's"
            remedy = "use its own address; its operator adds others to ALLOWED_HOSTS"
            errors = [{"field": "Host", "reason": reason}]
            return _problem(400, f"Host: {reason}; {remedy}", errors=errors)
        case RequestDataTooBig():
            return _problem(413, "the body is larger than this router takes; shorten the prompt")
        case OperationalError() | InterfaceError() | RedisError():
            logger.exception("a server that the router needs does not answer")
            return _problem(503, "a server that the router needs does not answer; try again")
        case _:
            logger.error("an unexpected error", exc_info=error)
            return _problem(500, "an unexpected error; the router's log has the details")


def _problem(
    status: int, detail: str, title: str = "", errors: list[dict[str, str]] | None = None
) -> dict[str, Any]:
    return {
        "type": "about:blank",
        "title": title or _TITLES.get(status, "The request failed"),
        "status": status,
        "detail": detail,
        "errors": errors or [],
    }


def _field_errors(detail: Any, path: str = "") -> Iterator[dict[str, str]]:
    match detail:
        case dict():
            for name, inner in detail.items():
                name = "body" if name == "non_field_errors" else str(name)
                yield from _field_errors(inner, f"{path}.{name}" if path else name)
        case list():
            for inner in detail:
                yield from _field_errors(inner, path)
        case _:
            yield {"field": path or "body", "reason": str(detail)}
