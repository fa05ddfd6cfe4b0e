"""Whose a session is to see and to use: its owner's, and theirs whom its metadata names.

The metadata is on chain, where only the owner writes it: `{"users": ["0x…", …]}`. So every router
knows the same users, and a router that lost its database has lost none of them. Users see and use
the whole session, each other's tasks included; what is the owner's alone stays with the contract.
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
    """The accounts that a session's metadata names, in lower case. Pure; whatever it is given."""
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
    """The sessions that the caller sees; a key that names its session sees that one only."""
    visible = Session.objects.visible_to(caller.address)
    if caller.key is not None and caller.key.session_id is not None:
        return visible.filter(session_id=caller.key.session_id)
    return visible


def find_session(session_id: int, who: Caller | ApiKey, scope: Scope = Scope.READ) -> Session:
    """A session that the caller sees, to read it or to submit to it.

    Raises:
        ScopeMissing: the caller's key was not made for that.
        SessionNotFound: there is none; one that the caller may not see counts as none.
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
