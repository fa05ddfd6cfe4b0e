"""The till: the account that receives payments.

The sessions that the till owns can be paid per call. They pay the network, so the same account
receives the payments and bears the costs.
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
    """Return the till's checksum address.

    Raises:
        NotOffered: this router has no till.
    """
    try:
        return _address(Path(settings.KEYSTORE_DIR) / TILL_KEYSTORE)
    except keys.KeystoreError as error:
        raise _not_offered("this router takes no payments for single calls") from error


def account() -> LocalAccount:
    """Return the till's account with its key, for refunds. Raises KeystoreError."""
    return _account(
        Path(settings.KEYSTORE_DIR) / TILL_KEYSTORE, Path(settings.KEYSTORE_PASSWORD_FILE)
    )


def default_session_id() -> int:
    """Return the session for requests that name none: the till's oldest active session.

    Raises:
        NotOffered: the till has no active session.
    """
    oldest = _sessions().active().order_by("session_id").first()
    if oldest is None:
        raise _not_offered("this router has no session that is paid per call")
    return oldest.session_id


def find_session(session_id: int) -> Session:
    """Return a session of the till.

    Raises:
        NotOffered: the session belongs to another account, or is not known (yet).
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
