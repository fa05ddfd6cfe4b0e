"""A limit on wrong passwords per minute for the sign-in to Django's admin."""

from typing import Any

from django.conf import settings
from django.contrib.auth.signals import user_login_failed
from django.core.exceptions import PermissionDenied
from django.dispatch import receiver
from django.http import HttpRequest

from sessions.access.buckets import Bucket, take


class PatienceBackend:
    """An authentication backend that only refuses addresses with too many wrong passwords.

    It comes before the backend that checks passwords. Wrong passwords are counted by IP address, so
    a stranger cannot lock an operator out. It does not inherit from `BaseBackend`, because Django
    asks such backends for users.
    """

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        if request is None:
            return
        allowance = take(0, [_bucket(request)])
        if allowance is not None and allowance.remaining < 1:
            raise PermissionDenied("too many wrong passwords; wait a minute")


@receiver(user_login_failed, dispatch_uid="sessions.wrong_password")
def count_wrong_password(request: HttpRequest | None = None, **_: Any) -> None:
    """Count a wrong password against the client's IP address."""
    if request is not None:
        take(1, [_bucket(request)])


def _bucket(request: HttpRequest) -> Bucket:
    address = request.META.get("REMOTE_ADDR") or "unknown"
    return Bucket(f"passwords:{address}", int(settings.LIMITS["wrong_passwords_per_minute"]))
