"""Authentication: an API key (`Authorization: Bearer <api key>`) or a signed-in browser."""

from datetime import timedelta
from typing import TYPE_CHECKING, cast

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from sessions.access import rates
from sessions.access.callers import Caller
from sessions.access.errors import OriginRefused, ScopeMissing
from sessions.models import ApiKey, Scope

if TYPE_CHECKING:  # the framework imports this module while it imports its views
    from rest_framework.views import APIView

USE_NOTED_EVERY = timedelta(minutes=1)
CHALLENGE = 'Bearer realm="cortensor"'
ACCOUNT = "cortensor_account"
"""The key in Django's session that holds the signed-in account."""


class CallerAuthentication(BaseAuthentication):
    """Authenticate the requests of REST framework views."""

    def authenticate(self, request: Request) -> tuple[Caller, ApiKey | None]:
        caller = identify(request._request)
        return caller, caller.key

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class ScopeNeeded(BasePermission):
    """Require that the caller has the view's `scope` (`Scope.READ` by default)."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        scope: Scope = getattr(view, "scope", Scope.READ)
        caller = caller_of(request)
        if not caller.may(scope):
            raise ScopeMissing.of(scope)
        return True


def caller_of(request: Request) -> Caller:
    """Return the caller that `CallerAuthentication` has identified."""
    return cast(Caller, request.user)


def identify(request: HttpRequest) -> Caller:
    """Identify the caller of a request, and count the request against the caller's limits.

    Raises:
        AuthenticationFailed: the request has neither a valid API key nor a signed-in session.
        OriginRefused: the request changes something, has only a cookie, and lacks a CSRF token.
        LimitReached: the caller or the client's address sends too many requests.
    """
    header = request.headers.get("Authorization", "")
    account = "" if header else signed_in_account(request)
    if not account:
        return Caller.of_key(bearer(header))
    require_same_origin(request)
    caller = Caller(account)
    rates.admit_request(caller)
    return caller


def signed_in_account(request: HttpRequest) -> str:
    """Return the account that has signed in from this browser, or an empty string."""
    # Skip the database query for a session when the request has no session cookie.
    return str(request.session.get(ACCOUNT, "")) if request.session.session_key else ""


def require_same_origin(request: HttpRequest) -> None:
    """Raise OriginRefused if a request that changes something lacks a valid CSRF token."""
    refusal = _CsrfCheck(lambda _: HttpResponse()).refusal(request)
    if refusal:
        raise OriginRefused(
            refusal, remedy="send the csrf_token of GET /api/v1/auth/session as X-CSRFToken"
        )


def bearer(header: str) -> ApiKey:
    """Return the API key in an Authorization header.

    Raises:
        AuthenticationFailed: the header has no API key, or the key is unknown, revoked or expired.
        LimitReached: the key or the client's address sends too many requests.
    """
    scheme, _, secret = header.partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise AuthenticationFailed("send the header 'Authorization: Bearer <api key>'")
    return authenticate(secret.strip())


def authenticate(secret: str) -> ApiKey:
    """Return the API key with this secret, and count the request against the key's limits.

    Raises:
        AuthenticationFailed: the key is unknown, revoked or expired.
        LimitReached: the key or the client's address sends too many requests.
    """
    key = ApiKey.find(secret)
    if key is None:
        rates.count_failure()
        raise AuthenticationFailed(
            "the API key is unknown, revoked or expired; ask its owner or the router's operator"
        )
    rates.admit_request(Caller.of_key(key))
    now = timezone.now()
    if key.last_used_at is None or key.last_used_at < now - USE_NOTED_EVERY:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return key


class _CsrfCheck(CsrfViewMiddleware):
    """Django's CSRF check, for views that are exempt from it when the caller sends an API key."""

    def refusal(self, request: HttpRequest) -> str | None:
        self.process_request(request)
        # Pass a view that is not exempt, so that the check runs for every view.
        return cast("str | None", self.process_view(request, _not_exempt, (), {}))

    def _reject(self, request: HttpRequest, reason: str) -> str:
        return reason


def _not_exempt(request: HttpRequest) -> HttpResponse:
    return HttpResponse()
