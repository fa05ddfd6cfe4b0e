"""Who asks: a program with `Authorization: Bearer <api key>`, or a person who has signed in."""

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
"""The member of Django's session that holds the account which has signed in."""


class CallerAuthentication(BaseAuthentication):
    """For the REST framework's views."""

    def authenticate(self, request: Request) -> tuple[Caller, ApiKey | None]:
        caller = identify(request._request)
        return caller, caller.key

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class ScopeNeeded(BasePermission):
    """A view's `scope`, which its caller must have."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        scope: Scope = getattr(view, "scope", Scope.READ)
        caller = caller_of(request)
        if not caller.may(scope):
            raise ScopeMissing.of(scope)
        return True


def caller_of(request: Request) -> Caller:
    """The caller that `CallerAuthentication` has found."""
    return cast(Caller, request.user)


def identify(request: HttpRequest) -> Caller:
    """Who sends this request; it is counted against the caller's limits.

    Raises:
        AuthenticationFailed: nobody that is known.
        OriginRefused: a cookie alone, in a request that changes something.
        LimitReached: the caller, or the client's address, asks too often.
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
    """The account that this browser has signed in for; empty for none."""
    # Without the cookie there is no session to be read from the database.
    return str(request.session.get(ACCOUNT, "")) if request.session.session_key else ""


def require_same_origin(request: HttpRequest) -> None:
    """Raise OriginRefused unless a request that changes something carries the CSRF token."""
    refusal = _CsrfCheck(lambda _: HttpResponse()).refusal(request)
    if refusal:
        raise OriginRefused(
            refusal, remedy="send the csrf_token of GET /api/v1/auth/session as X-CSRFToken"
        )


def bearer(header: str) -> ApiKey:
    """The key of an Authorization header.

    Raises:
        AuthenticationFailed: there is none, or it is not in force.
        LimitReached: the key, or the client's address, asks too often.
    """
    scheme, _, secret = header.partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise AuthenticationFailed("send the header 'Authorization: Bearer <api key>'")
    return authenticate(secret.strip())


def authenticate(secret: str) -> ApiKey:
    """The key whose secret this is; the request is counted against its limits.

    Raises:
        AuthenticationFailed: it is unknown, revoked or expired.
        LimitReached: the key, or the client's address, asks too often.
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
    """Django's own check, where a view is exempt from it for callers with a key."""

    def refusal(self, request: HttpRequest) -> str | None:
        self.process_request(request)
        # A view that is not exempt, whatever the one that asks is.
        return cast("str | None", self.process_view(request, _not_exempt, (), {}))

    def _reject(self, request: HttpRequest, reason: str) -> str:
        return reason


def _not_exempt(request: HttpRequest) -> HttpResponse:
    return HttpResponse()
