"""The visibility of sessions: to their owners, and to the users that their metadata names.

The metadata is on chain, where only the owner can write it: `{"users": ["0x…", …]}`. So all routers
know the same users, even a router that lost its database. Users may see and use the whole session,
including each other's tasks. What only the owner may do is done by transactions to the contract.
"""

import json
import re

from django.db import models

from chain.postgres.prepared import Parameter, Prepared
from sessions.access.callers import Caller
from sessions.errors import SessionNotFound
from sessions.models import ApiKey, Scope, Session
from sessions.models.session import SessionQuerySet

MAX_USERS = 256
MAX_METADATA_CHARACTERS = 65_536
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


def users_in(metadata: str) -> list[str]:
    """Return the accounts that a session's metadata names, in lower case. Pure; never raises."""
    if len(metadata) > MAX_METADATA_CHARACTERS:
        return []
    try:
        content = json.loads(metadata)
    except (ValueError, RecursionError):
        return []
    named = content.get("users") if isinstance(content, dict) else None
    if not isinstance(named, list):
        return []
    users = {user.lower() for user in named if isinstance(user, str) and _ADDRESS.fullmatch(user)}
    return sorted(users)[:MAX_USERS]


def sessions_of(caller: Caller) -> SessionQuerySet:
    """Return the sessions that the caller may see. A key may be restricted to one session."""
    visible = Session.objects.visible_to(caller.address)
    if caller.key is not None and caller.key.session_id is not None:
        return visible.filter(session_id=caller.key.session_id)
    return visible


def find_session(session_id: int, who: Caller | ApiKey, scope: Scope = Scope.READ) -> Session:
    """Return a session that the caller may see.

    Args:
        scope: what the caller's key must allow.

    Raises:
        ScopeMissing: the caller's key lacks the scope.
        SessionNotFound: the session does not exist, or the caller may not see it.
    """
    caller = Caller.of_key(who) if isinstance(who, ApiKey) else who
    caller.require(scope)
    session = _SESSION.first(session_id=session_id)
    if session is None or not _sees(caller, session):
        raise SessionNotFound.of(session_id)
    return session


_SESSION = Prepared(
    lambda: Session.objects.filter(pk=Parameter("session_id", models.BigIntegerField()))
)


def _sees(caller: Caller, session: Session) -> bool:
    only = None if caller.key is None else caller.key.session_id
    return session.is_visible_to(caller.address) and only in (None, session.session_id)
