"""Errors of `/v1` in OpenAI's form: `{"error": {"message", "type", "param", "code"}}`.

The header `x-should-retry: false` tells OpenAI's clients not to retry requests that cannot succeed
or that could be paid twice.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import (
    APIException,
    AuthenticationFailed,
    NotAuthenticated,
    ValidationError,
)
from rest_framework.fields import Field

from sessions.access.errors import BudgetSpent, CredentialsRefused, LimitReached
from sessions.errors import (
    DeadlinePassed,
    InsufficientBalance,
    InvalidField,
    RequestError,
    SessionsError,
)
from sessions.faces.common.authentication import CHALLENGE
from sessions.faces.common.problems import RETRY_AFTER_S, to_problem

INVALID_REQUEST, SERVER_ERROR = "invalid_request_error", "server_error"
INSUFFICIENT_QUOTA = "insufficient_quota"
_NOT_TO_BE_TRIED_AGAIN = (InsufficientBalance, BudgetSpent, DeadlinePassed)
_INDEX = re.compile(r"\.(\d+)(?=\.|$)")
_REQUIRED = str(Field.default_error_messages["required"])
_FIELDS = {"session_id": "X-Session-ID"}
"""The names of the intake's members in this interface."""


@dataclass(eq=False)
class OpenAIError(SessionsError):
    """A request that this interface itself refuses."""

    message: str
    param: str | None = None
    code: str | None = None
    status: int = 400

    def __str__(self) -> str:
        return self.message


def invalid(param: str, reason: str) -> OpenAIError:
    """Return the error for a parameter, or a part of one, with an invalid value."""
    return OpenAIError(f"Invalid '{param}': {reason}.", param=param, code="invalid_value")


def unsupported(param: str, reason: str) -> OpenAIError:
    """Return the error for a parameter, or a part of one, that asks for something unsupported."""
    message = f"'{param}' is not served here: {reason}."
    return OpenAIError(message, param=param, code="unsupported_parameter")


@dataclass(frozen=True)
class ErrorObject:
    """An error in OpenAI's form, and its status code."""

    status: int
    message: str
    type: str
    param: str | None
    code: str | None

    def to_json(self) -> dict[str, Any]:
        error = {"message": self.message, "type": self.type}
        return {"error": error | {"param": self.param, "code": self.code}}


def read_error(error: Exception, names: Mapping[str, str] | None = None) -> ErrorObject:
    """Convert any error to OpenAI's form.

    Args:
        names: the endpoint's names of the intake's members (`prompt`, `max_tokens`).
    """
    own_names = dict(names or {})
    names = _FIELDS | own_names
    match error:
        case OpenAIError():
            return ErrorObject(
                error.status, error.message, _type(error.status), error.param, error.code
            )
        case AuthenticationFailed() | NotAuthenticated() | CredentialsRefused():
            message = f"Incorrect API key provided: {error.detail}."
            return ErrorObject(401, message, INVALID_REQUEST, None, "invalid_api_key")
        case InsufficientBalance() | BudgetSpent():
            # OpenAI uses 429 and this code too, and clients check for the code.
            return ErrorObject(429, _message(error), INSUFFICIENT_QUOTA, None, INSUFFICIENT_QUOTA)
        case LimitReached():
            message = _message(error)
            return ErrorObject(429, message, "rate_limit_error", None, "rate_limit_exceeded")
        case RequestError():
            return ErrorObject(
                error.status,
                _message(error),
                _type(error.status),
                names.get(error.field, error.field) if error.field else None,
                _code(error),
            )
    problem = to_problem(error)
    if isinstance(error, ValidationError):
        first = problem["errors"][0]
        field = first["field"].removesuffix(".body")
        param = _INDEX.sub(r"[\1]", own_names.get(field, field))
        if first["reason"] == _REQUIRED:
            message = f"Missing required parameter: '{param}'."
            return ErrorObject(400, message, INVALID_REQUEST, param, "missing_required_parameter")
        message = f"Invalid '{param}': {first['reason']}"
        return ErrorObject(400, message, INVALID_REQUEST, param, "invalid_value")
    status = problem["status"]
    code = error.get_codes() if isinstance(error, APIException) else None
    return ErrorObject(
        status, problem["detail"], _type(status), None, code if isinstance(code, str) else None
    )


def error_response(error: Exception, names: Mapping[str, str] | None = None) -> HttpResponse:
    """Return the response for an error."""
    shown = read_error(error, names)
    response = JsonResponse(shown.to_json(), status=shown.status)
    if isinstance(error, OpenAIError) and shown.status == 405:
        response["Allow"] = "POST"
    if shown.status == 401:
        response["WWW-Authenticate"] = CHALLENGE
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is None and shown.status == 503:
        retry_after_s = RETRY_AFTER_S
    if retry_after_s is not None:
        response["Retry-After"] = str(retry_after_s)
    if shown.status == 409 or isinstance(error, _NOT_TO_BE_TRIED_AGAIN):
        response["x-should-retry"] = "false"
    return response


@csrf_exempt
def not_found(request: HttpRequest) -> HttpResponse:
    """Answer every unknown path under `/v1`."""
    message = f"Unknown request URL: {request.method} {request.path}."
    return error_response(OpenAIError(message, code="unknown_url", status=404))


def _message(error: RequestError) -> str:
    return f"{error.detail}; {error.remedy}" if error.remedy else error.detail


def _code(error: RequestError) -> str:
    if "context_length" in error.extra:
        return "context_length_exceeded"
    return "invalid_value" if isinstance(error, InvalidField) else error.code


def _type(status: int) -> str:
    return SERVER_ERROR if status >= 500 else INVALID_REQUEST
