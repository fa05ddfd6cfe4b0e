"""Sign-in with Ethereum (EIP-4361): a person signs a readable message to prove an account.

Issuing a nonce stores nothing: the nonce contains its time and a MAC. It is spent when a message
with it is accepted. The account must have a private key of its own; contract wallets (EIP-1271) are
not supported.
"""

import re
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.dateparse import parse_datetime
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_utils.address import is_checksum_address

from sessions.access.errors import CredentialsRefused
from sessions.models import SpentNonce

NONCE_TTL = timedelta(minutes=10)
CLOCK_SKEW = timedelta(minutes=1)
MAX_MESSAGE_CHARACTERS = 8_192
_RANDOM_CHARACTERS, _TIME_CHARACTERS, _MAC_CHARACTERS = 24, 10, 32
_NONCE = re.compile(f"[0-9a-f]{{{_TIME_CHARACTERS + _RANDOM_CHARACTERS + _MAC_CHARACTERS}}}")
_SIGNATURE = re.compile(r"0x[0-9a-fA-F]{130}")
_DATE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)"
_URI = r"[a-zA-Z][a-zA-Z0-9+.-]*:[!-~]+"
_MESSAGE = re.compile(
    r"(?:(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*)://)?(?P<domain>[!-.0-~]+)"
    r" wants you to sign in with your Ethereum account:\n"
    r"(?P<address>0x[0-9a-fA-F]{40})\n\n"
    r"(?:(?P<statement>[ -~]+)\n)?\n"
    rf"URI: (?P<uri>{_URI})\n"
    r"Version: (?P<version>[0-9]{1,8})\n"
    r"Chain ID: (?P<chain_id>[0-9]{1,18})\n"
    r"Nonce: (?P<nonce>[a-zA-Z0-9]{8,128})\n"
    rf"Issued At: (?P<issued_at>{_DATE})"
    rf"(?:\nExpiration Time: (?P<expires_at>{_DATE}))?"
    rf"(?:\nNot Before: (?P<not_before>{_DATE}))?"
    r"(?:\nRequest ID: (?P<request_id>[!-~]*))?"
    rf"(?:\nResources:(?P<resources>(?:\n- {_URI})*))?"
)


@dataclass(frozen=True)
class SignInMessage:
    """The fields of a sign-in message that are checked."""

    domain: str
    address: str
    uri: str
    version: str
    chain_id: int
    nonce: str
    issued_at: datetime
    expires_at: datetime | None
    not_before: datetime | None


@dataclass(frozen=True)
class SignedIn:
    """An account that has signed in. `until` is the expiry in its message, if it has one."""

    address: str
    until: datetime | None


def new_nonce(now: float | None = None) -> str:
    """Return a nonce that is valid for `NONCE_TTL`: 66 letters and digits."""
    stamp = int(time.time() if now is None else now)
    body = f"{stamp:0{_TIME_CHARACTERS}x}" + secrets.token_hex(_RANDOM_CHARACTERS // 2)
    return body + _mac(body)


def sign_in(text: str, signature: str, *, domain: str, chain_id: int) -> SignedIn:
    """Verify a signed message, and spend its nonce.

    Args:
        domain: the authority that the message must name: this router's own.
        chain_id: the id of the network's chain.

    Raises:
        CredentialsRefused: the message or its signature is not valid; the text says why.
    """
    message = parse(text)
    now = timezone.now()
    _require(message.domain == domain, f"the message is for {message.domain}, not for {domain}")
    _require(_is_of(message.uri, domain), f"the message's URI is not one of {domain}")
    _require(message.version == "1", "the message's Version is not 1")
    _require(
        message.chain_id == chain_id,
        f"the message is for chain {message.chain_id}, and this network is on chain {chain_id}",
    )
    _require(message.issued_at <= now + CLOCK_SKEW, "the message was issued in the future")
    _require(message.issued_at >= now - NONCE_TTL, "the message was issued too long ago")
    _require(
        message.not_before is None or message.not_before <= now, "the message is not valid yet"
    )
    _require(message.expires_at is None or message.expires_at > now, "the message has expired")
    nonce_expires_at = _expiry_of(message.nonce)
    _require(nonce_expires_at > now, "the nonce has expired; get a new one")
    _require(_signer(text, signature) == message.address, "the signature is not the account's")
    _require(
        SpentNonce.spend(message.nonce, nonce_expires_at + CLOCK_SKEW),
        "the nonce was used before; get a new one",
    )
    return SignedIn(message.address.lower(), message.expires_at)


def parse(text: str) -> SignInMessage:
    """Parse a message strictly by the grammar of EIP-4361.

    Raises:
        CredentialsRefused: the message does not match the grammar.
    """
    match = _MESSAGE.fullmatch(text) if len(text) <= MAX_MESSAGE_CHARACTERS else None
    _require(match is not None, "the message does not have the form of EIP-4361")
    assert match is not None
    _require(is_checksum_address(match["address"]), "the address has no valid EIP-55 checksum")
    return SignInMessage(
        domain=match["domain"],
        address=match["address"],
        uri=match["uri"],
        version=match["version"],
        chain_id=int(match["chain_id"]),
        nonce=match["nonce"],
        issued_at=_time(match["issued_at"]),
        expires_at=_time(match["expires_at"]) if match["expires_at"] else None,
        not_before=_time(match["not_before"]) if match["not_before"] else None,
    )


def _expiry_of(nonce: str) -> datetime:
    _require(_NONCE.fullmatch(nonce) is not None, "the nonce is not one of this router's")
    body, mac = nonce[:-_MAC_CHARACTERS], nonce[-_MAC_CHARACTERS:]
    _require(constant_time_compare(mac, _mac(body)), "the nonce is not one of this router's")
    return datetime.fromtimestamp(int(body[:_TIME_CHARACTERS], 16), UTC) + NONCE_TTL


def _mac(body: str) -> str:
    mac = salted_hmac("cortensor.sign_in", body, algorithm="sha256").hexdigest()
    return mac[:_MAC_CHARACTERS]


def _signer(text: str, signature: str) -> str:
    _require(
        _SIGNATURE.fullmatch(signature) is not None, "the signature must be 0x and 130 hex digits"
    )
    try:
        return str(Account.recover_message(encode_defunct(text=text), signature=signature))
    except Exception as error:  # eth_keys raises several unrelated types
        raise CredentialsRefused("no key made this signature over this message") from error


def _is_of(uri: str, domain: str) -> bool:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc == domain


def _time(text: str) -> datetime:
    # Python's datetime has microsecond precision: drop further digits.
    try:
        parsed = parse_datetime(re.sub(r"(\.\d{6})\d+", r"\1", text))
    except ValueError:
        parsed = None
    _require(parsed is not None, f"{text} is not a time")
    assert parsed is not None
    return parsed


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise CredentialsRefused(
            otherwise, remedy="get a nonce with GET /api/v1/auth/nonce and sign a new message"
        )
