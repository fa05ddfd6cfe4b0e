"""Who asks: `Authorization: Bearer <api key>`."""

from datetime import timedelta
from typing import cast

from django.http import HttpRequest
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from sessions.models import ApiKey

USE_NOTED_EVERY = timedelta(minutes=1)
CHALLENGE = 'Bearer realm="cortensor"'


class Client:
    """An authenticated key, in the place where Django expects a user."""

    is_authenticated = True

    def __init__(self, key: ApiKey) -> None:
        self.key = key


class ApiKeyAuthentication(BaseAuthentication):
    """For the REST framework's views."""

    def authenticate(self, request: Request) -> tuple[Client, ApiKey]:
        key = bearer(request.META.get("HTTP_AUTHORIZATION", ""))
        return Client(key), key

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


def key_of(request: HttpRequest | Request) -> ApiKey:
    """The key that `ApiKeyAuthentication` has found."""
    return cast(ApiKey, cast(Request, request).auth)


def bearer(header: str) -> ApiKey:
    """The key of an Authorization header.

    Raises:
        AuthenticationFailed: there is none, or it is not in force.
    """
    scheme, _, secret = header.partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise AuthenticationFailed("send the header 'Authorization: Bearer <api key>'")
    return authenticate(secret.strip())


def authenticate(secret: str) -> ApiKey:
    """The key whose secret this is.

    Raises:
        AuthenticationFailed: it is unknown or revoked.
    """
    key = ApiKey.find(secret)
    if key is None:
        raise AuthenticationFailed("the API key is unknown or revoked; ask the router's operator")
    now = timezone.now()
    if key.last_used_at is None or key.last_used_at < now - USE_NOTED_EVERY:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return key
