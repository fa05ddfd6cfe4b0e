"""The keys by which clients of REST and WebSocket are known."""

import hashlib
import hmac
import secrets

from django.db import models
from django.utils import timezone

from sessions.models.fields import AddressField

PREFIX_CHARACTERS = 12


class ApiKey(models.Model):
    """A client's key. Only its hash is kept; `owner` is the account whose sessions it may use."""

    name = models.CharField(max_length=100)
    owner = AddressField(db_index=True)
    prefix = models.CharField(max_length=PREFIX_CHARACTERS, unique=True, editable=False)
    hashed_secret = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects: models.Manager["ApiKey"] = models.Manager()

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @classmethod
    def issue(cls, name: str, owner: str) -> tuple["ApiKey", str]:
        """Make and store a key; the second value is the key itself, which is kept nowhere."""
        secret = "cor_" + secrets.token_urlsafe(32)
        key = cls.objects.create(
            name=name,
            owner=owner.lower(),
            prefix=secret[:PREFIX_CHARACTERS],
            hashed_secret=_digest(secret),
        )
        return key, secret

    @classmethod
    def find(cls, secret: str) -> "ApiKey | None":
        """The key in force whose secret this is, or None."""
        key = cls.objects.filter(prefix=secret[:PREFIX_CHARACTERS], revoked_at=None).first()
        # Compared even when there is none, so that time does not tell which prefixes exist.
        known = key.hashed_secret if key else _digest("")
        return key if hmac.compare_digest(known, _digest(secret)) and key else None


def _digest(secret: str) -> str:
    # 256 random bits need no slow hash: there is nothing to guess.
    return hashlib.sha256(secret.encode()).hexdigest()
