"""Guessing an operator's password: the administration hears only so many wrong ones a minute."""

from typing import Any

from django.conf import settings
from django.contrib.auth.signals import user_login_failed
from django.core.exceptions import PermissionDenied
from django.dispatch import receiver
from django.http import HttpRequest

from sessions.access.buckets import Bucket, take


class PatienceBackend:
    """Stands before the backend that knows the passwords; who failed too often gets no further.

    Wrong passwords are counted by IP address: a stranger cannot lock an operator out. It is no
    `BaseBackend`, since those claim to know the users.
    """

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        if request is None:
            return
        allowance = take(0, [_bucket(request)])
        if allowance is not None and allowance.remaining < 1:
            raise PermissionDenied("too many wrong passwords; wait a minute")


@receiver(user_login_failed, dispatch_uid="sessions.wrong_password")
def count_wrong_password(request: HttpRequest | None = None, **_: Any) -> None:
    """One more from this address."""
    if request is not None:
        take(1, [_bucket(request)])


def _bucket(request: HttpRequest) -> Bucket:
    address = request.META.get("REMOTE_ADDR") or "unknown"
    return Bucket(f"passwords:{address}", int(settings.LIMITS["wrong_passwords_per_minute"]))
