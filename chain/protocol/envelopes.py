"""Contents that only some may read: sealed once, with the key wrapped for each recipient.

An envelope is canonical JSON, of version 1 (`docs/reference/envelopes.md`):

    {"envelope": 1, "context": {"chain_id", "session_id", "task_id", "role"}, "commitment", "nonce",
     "ciphertext", "recipients": [{"public_key", "encapsulated", "wrapped_key"}, …]}

- The content is encrypted by AES-256-GCM under a key of its own, which is random.
- That key is wrapped for each recipient's X25519 key by HPKE (RFC 9180, base mode, DHKEM(X25519,
  HKDF-SHA256), HKDF-SHA256, AES-256-GCM).
- Both bind the context, so that no envelope passes for that of another task or role.
- The commitment makes sure that whoever can open it reads the same: AES-GCM alone does not.

Pure, like `chain.protocol.messages`: a miner's own machine imports it.
"""

import base64
import binascii
import hmac
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from Crypto.Cipher import AES
from Crypto.Hash import SHA256
from Crypto.Protocol import HPKE
from Crypto.Protocol.DH import import_x25519_private_key, import_x25519_public_key
from Crypto.Protocol.KDF import HKDF

from chain.protocol.digests import canonical_json

VERSION = 1
MAX_RECIPIENTS = 64
KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 12, 16
_INFO = b"cortensor envelope 1"
_CONTENT_INFO = b"cortensor envelope 1 content"
_ACCOUNT_INFO = b"cortensor encryption key 1"
_HEX = re.compile(r"0x(?:[0-9a-f]{2})*")


class EnvelopeError(ValueError):
    """Base of this module's errors."""


class InvalidKey(EnvelopeError):
    """The bytes are no X25519 public key that can be encrypted to."""


class NotAnEnvelope(EnvelopeError):
    """The content is no envelope of a version that is known here."""


class WrongContext(EnvelopeError):
    """The envelope belongs to another task or role."""


class NotARecipient(EnvelopeError):
    """The envelope was not sealed for this key."""


class EnvelopeBroken(EnvelopeError):
    """The envelope was changed since it was sealed, or never was whole."""


class Role(StrEnum):
    """What of a task an envelope holds."""

    PROMPT = "prompt"
    RESULT = "result"


@dataclass(frozen=True)
class Context:
    """What an envelope belongs to. Session and task are the contract's numbers."""

    chain_id: int
    session_id: int
    task_id: int
    role: Role


def encryption_key(account_key: bytes) -> bytes:
    """The X25519 private key that belongs to an account's key: nothing more is to be kept."""
    return _derive(account_key, KEY_BYTES, _ACCOUNT_INFO)


def public_key(private_key: bytes) -> bytes:
    """The X25519 public key of a private one, 32 bytes both."""
    return bytes(import_x25519_private_key(private_key).public_key().export_key(format="raw"))


def read_public_key(text: str) -> bytes:
    """A public key from its text. Raises InvalidKey."""
    if not _HEX.fullmatch(text) or len(text) != 2 + 2 * KEY_BYTES:
        raise InvalidKey(
            f"public_key: {text[:80]!r} is no X25519 key; give 0x and 64 lower-case hex digits"
        )
    key = bytes.fromhex(text[2:])
    _recipient_key(key)
    return key


def seal(content: bytes, context: Context, recipients: Sequence[bytes]) -> bytes:
    """Put a content into an envelope for the owners of these public keys.

    Raises:
        InvalidKey: one of them cannot be encrypted to, or there are none or too many.
    """
    key = secrets.token_bytes(KEY_BYTES)
    nonce = secrets.token_bytes(NONCE_BYTES)
    content_key, commitment = _content_keys(key)
    cipher = AES.new(content_key, AES.MODE_GCM, nonce=nonce)
    cipher.update(_bound(context))
    ciphertext, tag = cipher.encrypt_and_digest(content)
    return _write(commitment, nonce, ciphertext + tag, key, context, recipients)


def unseal(envelope: bytes, context: Context, private_key: bytes) -> bytes:
    """The content of an envelope.

    Raises:
        NotAnEnvelope, WrongContext, NotARecipient, EnvelopeBroken: as they say.
    """
    sealed = _parse(envelope)
    content_key, commitment = _content_keys(_unwrap(sealed, context, private_key))
    if not hmac.compare_digest(commitment, sealed.commitment):
        raise EnvelopeBroken("commitment: it is not that of the key; ask the sender again")
    cipher = AES.new(content_key, AES.MODE_GCM, nonce=sealed.nonce)
    cipher.update(_bound(context))
    try:
        return cipher.decrypt_and_verify(
            sealed.ciphertext[:-TAG_BYTES], sealed.ciphertext[-TAG_BYTES:]
        )
    except ValueError:
        raise EnvelopeBroken("ciphertext: it was changed; ask the sender again") from None


def share(
    envelope: bytes, context: Context, private_key: bytes, recipients: Sequence[bytes]
) -> bytes:
    """The same content for others: the key is wrapped anew, the rest stays as it is.

    Raises:
        EnvelopeError: as `unseal` and `seal`; the content itself is not looked at.
    """
    sealed = _parse(envelope)
    key = _unwrap(sealed, context, private_key)
    return _write(sealed.commitment, sealed.nonce, sealed.ciphertext, key, context, recipients)


def recipients(envelope: bytes) -> list[bytes]:
    """The public keys that an envelope says it is sealed for.

    Raises:
        NotAnEnvelope: it is none.
        InvalidKey: one of them cannot be encrypted to.
    """
    keys = list(_parse(envelope).wrapped)
    for key in keys:
        _recipient_key(key)
    return keys


def is_envelope(content: bytes) -> bool:
    """Whether a content is an envelope, whole or not: JSON with a member of that name."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and "envelope" in value


def _write(
    commitment: bytes,
    nonce: bytes,
    ciphertext: bytes,
    key: bytes,
    context: Context,
    recipients: Sequence[bytes],
) -> bytes:
    return canonical_json(
        {
            "envelope": VERSION,
            "context": asdict(context),
            "commitment": _hex(commitment),
            "nonce": _hex(nonce),
            "ciphertext": base64.b64encode(ciphertext).decode(),
            "recipients": _wrap_for_all(key, context, recipients),
        }
    )


@dataclass(frozen=True)
class _Sealed:
    """An envelope as it is read. `wrapped` is encapsulated and wrapped key by public key."""

    context: Mapping[str, Any]
    commitment: bytes
    nonce: bytes
    ciphertext: bytes
    wrapped: Mapping[bytes, tuple[bytes, bytes]]


def _parse(envelope: bytes) -> _Sealed:
    try:
        value = json.loads(envelope)
        version, rows = value["envelope"], value["recipients"]
        if type(version) is not int or version != VERSION:
            raise NotAnEnvelope(f"envelope: version {version!r}; version {VERSION} is known here")
        if not 0 < len(rows) <= MAX_RECIPIENTS:
            raise NotAnEnvelope(f"recipients: {len(rows)}; 1 to {MAX_RECIPIENTS} are read")
        sealed = _Sealed(
            context=dict(value["context"]),
            commitment=_unhex(value["commitment"], KEY_BYTES),
            nonce=_unhex(value["nonce"], NONCE_BYTES),
            ciphertext=base64.b64decode(value["ciphertext"], validate=True),
            wrapped={
                _unhex(row["public_key"], KEY_BYTES): (
                    _unhex(row["encapsulated"], KEY_BYTES),
                    _unhex(row["wrapped_key"], KEY_BYTES + TAG_BYTES),
                )
                for row in rows
            },
        )
    except NotAnEnvelope:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise NotAnEnvelope(
            f"content: no envelope ({type(error).__name__}: {error}); send one of version {VERSION}"
        ) from error
    if len(sealed.ciphertext) < TAG_BYTES:
        raise NotAnEnvelope("ciphertext: it is shorter than its tag; send all of it")
    return sealed


def _unwrap(sealed: _Sealed, context: Context, private_key: bytes) -> bytes:
    """The key of an envelope's content, for one of its recipients."""
    for name, meant in asdict(context).items():
        said = sealed.context.get(name)
        if said != meant or isinstance(said, bool):
            raise WrongContext(f"context: {name} is {said!r} and not {meant!r}; it is another's")
    own = public_key(private_key)
    if own not in sealed.wrapped:
        raise NotARecipient(f"recipients: {_hex(own)} is not among them; ask the sender to share")
    encapsulated, wrapped_key = sealed.wrapped[own]
    try:
        opener = HPKE.new(
            receiver_key=import_x25519_private_key(private_key),
            aead_id=HPKE.AEAD.AES256_GCM,
            enc=encapsulated,
            info=_INFO,
        )
        return bytes(opener.unseal(wrapped_key, _bound(context)))
    except ValueError:  # HPKE's own errors are ValueErrors, too
        raise EnvelopeBroken("wrapped_key: it was changed; ask the sender again") from None


def _wrap_for_all(
    key: bytes, context: Context, recipients: Sequence[bytes]
) -> list[dict[str, str]]:
    different = list(dict.fromkeys(recipients))
    if not 0 < len(different) <= MAX_RECIPIENTS:
        raise InvalidKey(f"recipients: {len(different)}; give 1 to {MAX_RECIPIENTS} public keys")
    return [_wrap(key, context, recipient) for recipient in different]


def _wrap(key: bytes, context: Context, recipient: bytes) -> dict[str, str]:
    sealer = HPKE.new(
        receiver_key=_recipient_key(recipient), aead_id=HPKE.AEAD.AES256_GCM, info=_INFO
    )
    wrapped_key = sealer.seal(key, _bound(context))
    return {
        "public_key": _hex(recipient),
        "encapsulated": _hex(sealer.enc),
        "wrapped_key": _hex(wrapped_key),
    }


def _recipient_key(key: bytes) -> Any:
    try:
        return import_x25519_public_key(key)
    except ValueError as error:
        raise InvalidKey(f"public_key: {_hex(key)} is no X25519 key ({error}); give one") from None


def _content_keys(key: bytes) -> tuple[bytes, bytes]:
    """The key that encrypts, and the commitment to it."""
    derived = _derive(key, 2 * KEY_BYTES, _CONTENT_INFO)
    return derived[:KEY_BYTES], derived[KEY_BYTES:]


def _derive(key: bytes, length: int, info: bytes) -> bytes:
    derived = HKDF(key, length, b"", SHA256, context=info)
    assert isinstance(derived, bytes)
    return derived


def _bound(context: Context) -> bytes:
    """What both ciphers authenticate beside what they encrypt."""
    return canonical_json({"envelope": VERSION, "context": asdict(context)})


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _unhex(text: Any, length: int) -> bytes:
    if not isinstance(text, str) or not _HEX.fullmatch(text) or len(text) != 2 + 2 * length:
        raise binascii.Error(f"{str(text)[:20]!r} is not {length} bytes in 0x hex")
    return bytes.fromhex(text[2:])
