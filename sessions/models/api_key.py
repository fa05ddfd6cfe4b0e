"""The keys by which programs are known, what each may do, and how much."""

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
    """What a key may do."""

    READ = "read"  # see sessions and tasks
    SUBMIT = "submit"  # send prompts, and spend by it
    MANAGE = "manage"  # make and revoke keys and webhooks of its owner


def usual_scopes() -> list[str]:
    """What a key may do where nothing else was asked for."""
    return [Scope.READ.value, Scope.SUBMIT.value]


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    """Keys by what is asked of them."""

    def in_force(self, now: datetime | Parameter) -> "ApiKeyQuerySet":
        """Those that are neither revoked nor expired."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)


class ApiKey(models.Model):
    """A client's key. Only its hash is kept; `owner` is the account whose sessions it may use.

    A limit that is null is the router's own (`settings.LIMITS`); a budget that is null is none.
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
        """Make and store a key; the second value is the key itself, which is kept nowhere.

        Args:
            terms: further fields: scopes, session, expiry, budgets, limits.
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
        """The key in force whose secret this is, or None."""
        if not _WELL_FORMED.fullmatch(secret):
            return None  # nor could the database be asked for every string
        key = _IN_FORCE.first(prefix=secret[:PREFIX_CHARACTERS], now=timezone.now())
        # Compared even when there is none, so that time does not tell which prefixes exist.
        known = key.hashed_secret if key else _digest("")
        return key if hmac.compare_digest(known, _digest(secret)) and key else None

    def allows(self, scope: Scope) -> bool:
        """Whether it was made for this."""
        return scope.value in self.scopes


_IN_FORCE = Prepared(
    lambda: ApiKey.objects.in_force(Parameter("now", models.DateTimeField())).filter(
        prefix=Parameter("prefix", models.CharField())
    )
)


def _digest(secret: str) -> str:
    # 256 random bits need no slow hash: there is nothing to guess.
    return hashlib.sha256(secret.encode()).hexdigest()
