"""API keys: their scopes, budgets and limits."""

import hashlib
import hmac
import re
import secrets
from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone

from chain.postgres.prepared import Parameter, Prepared
from sessions.models.fields import AddressField, Uint256Field

PREFIX_CHARACTERS = 12
_WELL_FORMED = re.compile(r"cor_[A-Za-z0-9_-]{43}")


class Scope(models.TextChoices):
    """A right of an API key."""

    READ = "read"  # see sessions and tasks
    SUBMIT = "submit"  # send prompts, and spend by it
    MANAGE = "manage"  # make and revoke keys and webhooks of its owner


def usual_scopes() -> list[str]:
    """Return the scopes of a key for which none were asked for."""
    return [Scope.READ.value, Scope.SUBMIT.value]


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    """Queries for API keys."""

    def in_force(self, now: datetime | Parameter) -> "ApiKeyQuerySet":
        """Return the keys that are neither revoked nor expired."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)


class ApiKey(models.Model):
    """A client's API key. Only its hash is stored. It may use the sessions of the account `owner`.

    If a limit is null, the router's own limit applies (`settings.LIMITS`). If a budget is null, the
    key has no budget.
    """

    name = models.CharField(max_length=100)
    owner = AddressField(db_index=True)
    prefix = models.CharField(max_length=PREFIX_CHARACTERS, unique=True, editable=False)
    hashed_secret = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(default=usual_scopes)
    session_id = models.BigIntegerField(
        null=True, blank=True, help_text="the only session that it sees, and that pays"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    daily_wei = Uint256Field(null=True, blank=True, help_text="budget of a day in UTC")
    daily_tokens = models.BigIntegerField(
        null=True, blank=True, help_text="budget of a day in UTC: prompt and answer, once a task"
    )
    requests_per_minute = models.PositiveIntegerField(null=True, blank=True)
    tokens_per_minute = models.PositiveIntegerField(null=True, blank=True)
    max_open_tasks = models.PositiveIntegerField(null=True, blank=True)
    max_open_streams = models.PositiveIntegerField(null=True, blank=True)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @classmethod
    def issue(cls, name: str, owner: str, **terms: Any) -> tuple["ApiKey", str]:
        """Create and store a key. The second value is the secret itself, which is not stored.

        Args:
            terms: other fields of the row: scopes, session, expiry, budgets, limits.
        """
        secret = "cor_" + secrets.token_urlsafe(32)
        key = cls.objects.create(
            name=name,
            owner=owner.lower(),
            prefix=secret[:PREFIX_CHARACTERS],
            hashed_secret=_digest(secret),
            **terms,
        )
        return key, secret

    @classmethod
    def find(cls, secret: str) -> "ApiKey | None":
        """Return the valid key with this secret, or None."""
        if not _WELL_FORMED.fullmatch(secret):
            return None  # an arbitrary string may have characters that PostgreSQL rejects
        key = _IN_FORCE.first(prefix=secret[:PREFIX_CHARACTERS], now=timezone.now())
        # Compare also if there is no key, so that the duration does not reveal existing prefixes.
        known = key.hashed_secret if key else _digest("")
        return key if hmac.compare_digest(known, _digest(secret)) and key else None

    def allows(self, scope: Scope) -> bool:
        """Return whether the key has this scope."""
        return scope.value in self.scopes


_IN_FORCE = Prepared(
    lambda: ApiKey.objects.in_force(Parameter("now", models.DateTimeField())).filter(
        prefix=Parameter("prefix", models.CharField())
    )
)


def _digest(secret: str) -> str:
    # A fast hash is safe here: 256 random bits cannot be guessed.
    return hashlib.sha256(secret.encode()).hexdigest()
