"""Encrypted contents: each is sealed once, and its key is wrapped for each recipient.

An envelope is canonical JSON. This is version 1 (`docs/reference/envelopes.md`):

    {"envelope": 1, "context": {"chain_id", "session_id", "task_id", "role"}, "commitment", "nonce",
     "ciphertext", "recipients": [{"public_key", "encapsulated", "wrapped_key"}, …]}

- AES-256-GCM encrypts the content under a random key that is used for this content only.
- HPKE wraps that key for each recipient's X25519 key (RFC 9180, base mode, DHKEM(X25519,
  HKDF-SHA256), HKDF-SHA256, AES-256-GCM).
- Both ciphers authenticate the context, so an envelope cannot pass for that of another task or
  role.
- The commitment ensures that all recipients read the same content. AES-GCM alone does not ensure
  this: a sender can make one ciphertext that decrypts differently under two keys.

The module is pure, like `chain.protocol.messages`: a miner's machine imports it.
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
    """The bytes are not a usable X25519 public key."""


class NotAnEnvelope(EnvelopeError):
    """The content is not an envelope of a version that this module can read."""


class WrongContext(EnvelopeError):
    """The envelope belongs to another task or role."""


class NotARecipient(EnvelopeError):
    """The envelope was not sealed for this key."""


class EnvelopeBroken(EnvelopeError):
    """The envelope was changed after it was sealed, or it was incomplete from the start."""


class Role(StrEnum):
    """The part of a task that an envelope holds."""

    PROMPT = "prompt"
    RESULT = "result"


@dataclass(frozen=True)
class Context:
    """The task and the role that an envelope belongs to.

    `session_id` and `task_id` are the contract's numbers.
    """

    chain_id: int
    session_id: int
    task_id: int
    role: Role


def encryption_key(account_key: bytes) -> bytes:
    """Derive an account's X25519 private key from the account's own private key.

    Since the key can always be derived again, nothing else has to be stored.
    """
    return _derive(account_key, KEY_BYTES, _ACCOUNT_INFO)


def public_key(private_key: bytes) -> bytes:
    """Return the X25519 public key of a private key. Both have 32 bytes."""
    return bytes(import_x25519_private_key(private_key).public_key().export_key(format="raw"))


def read_public_key(text: str) -> bytes:
    """Parse a public key from 0x hex.

    Raises:
        InvalidKey: the text is not a usable X25519 public key.
    """
    if not _HEX.fullmatch(text) or len(text) != 2 + 2 * KEY_BYTES:
        raise InvalidKey(
            f"public_key: {text[:80]!r} is not an X25519 key; give 0x and 64 lower-case hex digits"
        )
    key = bytes.fromhex(text[2:])
    _recipient_key(key)
    return key


def seal(content: bytes, context: Context, recipients: Sequence[bytes]) -> bytes:
    """Encrypt a content into an envelope for the owners of these public keys.

    Raises:
        InvalidKey: a key is unusable, or there are no recipients or more than `MAX_RECIPIENTS`.
    """
    key = secrets.token_bytes(KEY_BYTES)
    nonce = secrets.token_bytes(NONCE_BYTES)
    content_key, commitment = _content_keys(key)
    cipher = AES.new(content_key, AES.MODE_GCM, nonce=nonce)
    cipher.update(_bound(context))
    ciphertext, tag = cipher.encrypt_and_digest(content)
    return _write(commitment, nonce, ciphertext + tag, key, context, recipients)


def unseal(envelope: bytes, context: Context, private_key: bytes) -> bytes:
    """Decrypt the content of an envelope.

    Raises:
        NotAnEnvelope: the bytes are not an envelope of this version.
        WrongContext: the envelope belongs to another task or role.
        NotARecipient: the envelope was not sealed for this key.
        EnvelopeBroken: the envelope was changed or is incomplete.
    """
    sealed = _parse(envelope)
    content_key, commitment = _content_keys(_unwrap(sealed, context, private_key))
    if not hmac.compare_digest(commitment, sealed.commitment):
        raise EnvelopeBroken("commitment: it does not match the key; ask the sender again")
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
    """Return the same envelope for other recipients.

    The content's key is wrapped again for them. Everything else stays unchanged, and the content
    itself is not decrypted.

    Raises:
        EnvelopeError: under the same conditions as in `unseal` and `seal`.
    """
    sealed = _parse(envelope)
    key = _unwrap(sealed, context, private_key)
    return _write(sealed.commitment, sealed.nonce, sealed.ciphertext, key, context, recipients)


def recipients(envelope: bytes) -> list[bytes]:
    """Return the public keys that an envelope lists as its recipients.

    Raises:
        NotAnEnvelope: the bytes are not an envelope of this version.
        InvalidKey: a listed key is unusable.
    """
    keys = list(_parse(envelope).wrapped)
    for key in keys:
        _recipient_key(key)
    return keys


def is_envelope(content: bytes) -> bool:
    """Return whether a content claims to be an envelope: a JSON object with member `envelope`.

    The envelope may still be malformed or of an unknown version.
    """
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
    """A parsed envelope. `wrapped` maps a public key to its encapsulated and its wrapped key."""

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
            raise NotAnEnvelope(f"envelope: version {version!r} is unknown; send version {VERSION}")
        if not 0 < len(rows) <= MAX_RECIPIENTS:
            raise NotAnEnvelope(f"recipients: {len(rows)}; give 1 to {MAX_RECIPIENTS}")
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
            f"content: not an envelope ({type(error).__name__}: {error});"
            f" send one of version {VERSION}"
        ) from error
    if len(sealed.ciphertext) < TAG_BYTES:
        raise NotAnEnvelope("ciphertext: it is shorter than its tag; send the whole ciphertext")
    return sealed


def _unwrap(sealed: _Sealed, context: Context, private_key: bytes) -> bytes:
    """Return the key of an envelope's content, unwrapped by one of its recipients."""
    for name, meant in asdict(context).items():
        said = sealed.context.get(name)
        if said != meant or isinstance(said, bool):
            raise WrongContext(
                f"context: {name} is {said!r} and not {meant!r}; the envelope belongs elsewhere"
            )
    own = public_key(private_key)
    if own not in sealed.wrapped:
        raise NotARecipient(
            f"recipients: {_hex(own)} is not among them; ask the sender to share the content"
        )
    encapsulated, wrapped_key = sealed.wrapped[own]
    try:
        opener = HPKE.new(
            receiver_key=import_x25519_private_key(private_key),
            aead_id=HPKE.AEAD.AES256_GCM,
            enc=encapsulated,
            info=_INFO,
        )
        return bytes(opener.unseal(wrapped_key, _bound(context)))
    except ValueError:  # HPKE's own errors are ValueErrors too
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
        raise InvalidKey(
            f"public_key: {_hex(key)} is not an X25519 key ({error}); give another"
        ) from None


def _content_keys(key: bytes) -> tuple[bytes, bytes]:
    """Derive the encryption key and the commitment to it."""
    derived = _derive(key, 2 * KEY_BYTES, _CONTENT_INFO)
    return derived[:KEY_BYTES], derived[KEY_BYTES:]


def _derive(key: bytes, length: int, info: bytes) -> bytes:
    derived = HKDF(key, length, b"", SHA256, context=info)
    assert isinstance(derived, bytes)
    return derived


def _bound(context: Context) -> bytes:
    """Return the associated data that both ciphers authenticate."""
    return canonical_json({"envelope": VERSION, "context": asdict(context)})


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _unhex(text: Any, length: int) -> bytes:
    if not isinstance(text, str) or not _HEX.fullmatch(text) or len(text) != 2 + 2 * length:
        raise binascii.Error(f"{str(text)[:20]!r} is not {length} bytes in 0x hex")
    return bytes.fromhex(text[2:])
