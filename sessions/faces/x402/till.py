"""The till: the account that payments go to.

The sessions that it owns are the ones that are paid per call: they pay the network, and what comes
in and what goes out is the same account's.
"""

from functools import cache
from pathlib import Path

from django.conf import settings
from eth_account.signers.local import LocalAccount

from chain.deployed import keys
from sessions.faces.x402 import TILL_KEYSTORE
from sessions.faces.x402.errors import NotOffered
from sessions.models import Session
from sessions.models.session import SessionQuerySet


def address() -> str:
    """The till's checksum address.

    Raises:
        NotOffered: this router has none.
    """
    try:
        return _address(Path(settings.KEYSTORE_DIR) / TILL_KEYSTORE)
    except keys.KeystoreError as error:
        raise _not_offered("this router takes no payments for single calls") from error


def account() -> LocalAccount:
    """The till with its key, to pay back from. Raises KeystoreError."""
    return _account(
        Path(settings.KEYSTORE_DIR) / TILL_KEYSTORE, Path(settings.KEYSTORE_PASSWORD_FILE)
    )


def default_session_id() -> int:
    """The session of those who name none: the oldest active one of the till's.

    Raises:
        NotOffered: there is none.
    """
    oldest = _sessions().active().order_by("session_id").first()
    if oldest is None:
        raise _not_offered("this router has no session that is paid per call")
    return oldest.session_id


def find_session(session_id: int) -> Session:
    """A session of the till's.

    Raises:
        NotOffered: it is somebody else's, or not known (yet).
    """
    found = _sessions().filter(pk=session_id).first()
    if found is None:
        raise _not_offered(f"session {session_id} is not paid per call")
    return found


def _sessions() -> SessionQuerySet:
    return Session.objects.owned_by(address().lower())


def _not_offered(detail: str) -> NotOffered:
    return NotOffered(
        detail, remedy="leave the session out, or use /api/v1/completions with an API key"
    )


@cache
def _address(keystore: Path) -> str:
    return keys.address_in(keystore)


@cache
def _account(keystore: Path, password_file: Path) -> LocalAccount:
    return keys.load(keystore, password_file.read_text().strip())
