"""Creation of API keys, and the limits on what a caller may grant."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from django.utils import timezone

from sessions.access.callers import Caller
from sessions.access.errors import LimitReached, ScopeMissing
from sessions.access.visibility import find_session
from sessions.errors import InvalidField
from sessions.models import ApiKey, Scope

MAX_KEYS = 100
TRY_AGAIN_S = 60


@dataclass(frozen=True)
class KeyTerms:
    """The rights, expiry and limits of a key. None means no limit of the key's own."""

    scopes: tuple[Scope, ...] = (Scope.READ, Scope.SUBMIT)
    session_id: int | None = None
    expires_at: datetime | None = None
    daily_wei: int | None = None
    daily_tokens: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_open_tasks: int | None = None
    max_open_streams: int | None = None

    def to_fields(self) -> dict[str, Any]:
        """Return the fields of an `ApiKey` row."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return values | {"scopes": [scope.value for scope in self.scopes]}


def make_key(caller: Caller, name: str, terms: KeyTerms) -> tuple[ApiKey, str]:
    """Create a key for the caller's account. The second value is the secret key itself.

    A key cannot create a key with more scopes or a later expiry than its own.

    Raises:
        ScopeMissing, InvalidField: the caller may not create a key with these terms.
        SessionNotFound: the session is not visible to the caller.
        LimitReached: the account has as many valid keys as it may.
    """
    caller.require(Scope.MANAGE)
    for scope in terms.scopes:
        if not caller.may(scope):
            raise ScopeMissing.of(scope)
    _require_coherent(terms)
    _require_no_longer(caller, terms)
    if terms.session_id is not None:
        find_session(terms.session_id, caller, Scope.MANAGE)
    if ApiKey.objects.in_force(timezone.now()).filter(owner=caller.address).count() >= MAX_KEYS:
        raise LimitReached(
            f"an account may have {MAX_KEYS} keys in force",
            wait_s=TRY_AGAIN_S,
            remedy="revoke one that is not used",
        )
    return ApiKey.issue(name, caller.address, **terms.to_fields())


def _require_coherent(terms: KeyTerms) -> None:
    bounded = (terms.session_id, terms.daily_wei, terms.daily_tokens)
    if Scope.MANAGE in terms.scopes and any(bound is not None for bound in bounded):
        raise InvalidField(
            "a key with the scope 'manage' makes other keys, so that a session or a budget would"
            " not bind it",
            field="scopes",
            remedy="leave out the session and the budgets, or the scope",
        )


def _require_no_longer(caller: Caller, terms: KeyTerms) -> None:
    end = caller.key.expires_at if caller.key is not None else None
    if end is not None and (terms.expires_at is None or terms.expires_at > end):
        raise InvalidField(
            f"the key that makes it expires at {end.isoformat()}, and it may not outlive that one",
            field="expires_at",
        )
