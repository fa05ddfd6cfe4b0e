"""Encrypted sessions: the recipients of their contents, and the router's encryption key.

A session asks for encryption in its metadata on chain: `{"encryption": {"public_key": "0x…"}}`. The
key is the client's X25519 key. The prompts and results of the session's tasks are then stored as
envelopes for the client and this router. A task is encrypted if its prompt is.
`docs/reference/envelopes.md` says what this protects and what it does not.
"""

import fcntl
import hmac
import json
import logging
from functools import cache
from pathlib import Path

from django.conf import settings

from chain.deployed.contracts import deployment
from chain.deployed.keys import load_or_create
from chain.errors import ChainError
from chain.protocol import envelopes
from chain.protocol.envelopes import Context, InvalidKey, Role
from sessions.errors import EncryptionUnavailable, EncryptionUnusable, InvalidField
from sessions.intake.request import CompletionRequest
from sessions.models import Session, Task

KEYSTORE = "encryption.json"

logger = logging.getLogger(__name__)


def client_key(session: Session) -> bytes | None:
    """Return the public key that a session asks to encrypt for, or None if it does not ask.

    Raises:
        EncryptionUnusable: the session asks for encryption without a usable key. Its tasks are
            refused, so that nothing is stored in clear.
    """
    if '"encryption"' not in session.metadata:
        return None
    try:
        wish = json.loads(session.metadata)["encryption"]["public_key"]
        if not isinstance(wish, str):
            raise InvalidKey(f"public_key: {type(wish).__name__} is not a string")
        return envelopes.read_public_key(wish)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise EncryptionUnusable(
            f"the metadata of session {session.session_id} asks for encryption and names no key to"
            f" encrypt to ({type(error).__name__}: {error})",
            field="session_id",
            remedy='set the metadata to {"encryption": {"public_key": "0x…"}} with an X25519 public'
            " key, by Session.update",
        ) from error


def require_encryptable(request: CompletionRequest) -> None:
    """Raise InvalidField if a part of the request would be visible on chain."""
    if request.prompt_template:
        raise InvalidField(
            "a template stands on chain in clear, and this session asks for encryption",
            field="prompt_template",
            remedy="put its text into the prompt",
        )


def public_key() -> bytes:
    """Return the router's public key. Raises EncryptionUnavailable."""
    return envelopes.public_key(_private_key())


def seal_prompt(content: bytes, session_id: int, task_id: int, client: bytes) -> bytes:
    """Encrypt a prompt for its client and this router. Raises EncryptionUnavailable."""
    return envelopes.seal(
        content, _context(session_id, task_id, Role.PROMPT), [client, public_key()]
    )


def share_prompt(task: Task, envelope: bytes, miner: bytes) -> bytes:
    """Return the envelope of a prompt with one miner as its only recipient.

    Raises:
        EnvelopeError: the envelope belongs to another task, or the miner's key is unusable.
        EncryptionUnavailable: the router's key is missing.
    """
    context = _context(task.session_id, task.task_id, Role.PROMPT)
    return envelopes.share(envelope, context, _private_key(), [miner])


def unseal(task: Task, role: Role, envelope: bytes) -> bytes:
    """Decrypt a content of a task, in memory only. Raises the same errors as `share_prompt`."""
    return envelopes.unseal(envelope, _context(task.session_id, task.task_id, role), _private_key())


def fingerprint(request: CompletionRequest) -> str:
    """Return a keyed hash of a request, 64 hex digits, to recognize the same request again.

    Without the router's key it reveals nothing about the request.

    Raises:
        EncryptionUnavailable: the router's key is missing.
    """
    return hmac.digest(_private_key(), request.hash.encode(), "sha256").hex()


def _context(session_id: int, task_id: int, role: Role) -> Context:
    return Context(deployment().chain_id, session_id, task_id, role)


def _private_key() -> bytes:
    return _load(Path(settings.KEYSTORE_DIR), Path(settings.KEYSTORE_PASSWORD_FILE))


@cache
def _load(folder: Path, password_file: Path) -> bytes:
    """Return the router's key. The first process that needs it creates it."""
    try:
        password = password_file.read_text().strip()
        with (folder / f".{KEYSTORE}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            account = load_or_create(folder / KEYSTORE, password)
    except (ChainError, OSError) as error:
        logger.error("KEYSTORE_DIR: no key to encrypt with: %s", error)
        raise EncryptionUnavailable(
            "this router has no key to encrypt with",
            remedy="try again later; the log tells the router's operator what is missing",
        ) from error
    return envelopes.encryption_key(bytes(account.key))
