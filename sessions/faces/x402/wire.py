"""The headers and bodies of x402 over HTTP, versions 1 and 2. Pure.

| | version 1 | version 2 |
|---|---|---|
| the required payment | the body of the 402 | `PAYMENT-REQUIRED` |
| the client's payment | `X-PAYMENT` | `PAYMENT-SIGNATURE` |
| the result of the payment | `X-PAYMENT-RESPONSE` | `PAYMENT-RESPONSE` |

The headers hold JSON in base64.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eth_utils.address import is_address, to_checksum_address

from chain.protocol.messages import TransferWithAuthorization
from sessions.faces.x402.errors import PaymentRefused, Reason
from sessions.faces.x402.offer import Offer
from sessions.models import Payment

REQUIRED_HEADER = "PAYMENT-REQUIRED"
PAYMENT_HEADERS = {2: "PAYMENT-SIGNATURE", 1: "X-PAYMENT"}
RESPONSE_HEADERS = {2: "PAYMENT-RESPONSE", 1: "X-PAYMENT-RESPONSE"}
MAX_HEADER_CHARACTERS = 16_384
MAX_SIGNATURE_BYTES = 2_048
LATEST = 2**63 - 1
"""The latest time, in seconds since 1970, that the database can store."""
_NUMBER = re.compile(r"[0-9]{1,78}")
_NONCE = re.compile(r"0x[0-9a-fA-F]{64}")
_SIGNATURE = re.compile(rf"0x(?:[0-9a-fA-F]{{2}}){{1,{MAX_SIGNATURE_BYTES}}}")


@dataclass(frozen=True)
class SignedPayment:
    """A client's payment, parsed but not verified. `asset` is empty in version 1."""

    version: int
    scheme: str
    network: str
    asset: str
    transfer: TransferWithAuthorization
    signature: bytes


def payment_required(offer: Offer, refusal: PaymentRefused) -> tuple[dict[str, Any], str]:
    """Return body and header of a 402, in both versions, as the client's version is unknown."""
    body = {
        "x402Version": 1,
        "error": refusal.reason.value,
        "detail": refusal.detail,
        "accepts": [offer.to_requirements_in_version_1()],
    }
    header = {
        "x402Version": 2,
        "error": refusal.reason.value,
        "resource": offer.to_resource(),
        "accepts": [offer.to_requirements()],
    }
    return body, _encoded(header)


def read_payment(headers: Mapping[str, str]) -> SignedPayment | None:
    """Parse the payment of a request, or return None if it has none.

    Raises:
        PaymentRefused: the payment is malformed.
    """
    for version, name in PAYMENT_HEADERS.items():
        header = headers.get(name)
        if header:
            return _payment(_decoded(name, header), version)
    return None


def settlement(payment: Payment, network: str, version: int) -> dict[str, str]:
    """Return the header that reports the result of a payment."""
    receipt: dict[str, Any] = {
        "success": bool(payment.transaction),
        "transaction": payment.transaction,
        "network": network,
        "payer": to_checksum_address(payment.payer),
    }
    if payment.transaction:
        receipt["amount"] = str(payment.amount_wei)
    else:
        reason = Reason.TRANSACTION if payment.error else Reason.PENDING
        receipt |= {"errorReason": reason.value, "errorMessage": payment.error[:200]}
    return {RESPONSE_HEADERS[version]: _encoded(receipt)}


def _encoded(value: dict[str, Any]) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def _decoded(name: str, header: str) -> dict[str, Any]:
    if len(header) > MAX_HEADER_CHARACTERS:
        raise _malformed(f"{name} is longer than {MAX_HEADER_CHARACTERS} characters")
    try:
        value = json.loads(base64.b64decode(header, validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise _malformed(f"{name} is not JSON in base64") from error
    if not isinstance(value, dict):
        raise _malformed(f"{name} is not a JSON object")
    return value


def _payment(members: dict[str, Any], version: int) -> SignedPayment:
    if members.get("x402Version") != version:
        raise PaymentRefused(
            Reason.VERSION,
            f"{PAYMENT_HEADERS[version]} carries x402Version {version}",
        )
    terms = members if version == 1 else _object(members, "accepted")
    payload = _object(members, "payload")
    authorization = _object(payload, "authorization")
    signature = _text(payload, "signature")
    nonce = _text(authorization, "nonce")
    if not _SIGNATURE.fullmatch(signature):
        raise _malformed(f"signature is not 0x and 2 to {2 * MAX_SIGNATURE_BYTES} hex digits")
    if not _NONCE.fullmatch(nonce):
        raise _malformed("nonce is not 0x and 64 hex digits")
    return SignedPayment(
        version=version,
        scheme=_text(terms, "scheme"),
        network=_text(terms, "network"),
        asset="" if version == 1 else _text(terms, "asset"),
        transfer=TransferWithAuthorization(
            payer=_address(authorization, "from"),
            to=_address(authorization, "to"),
            value=_number(authorization, "value", 2**256 - 1),
            valid_after=_number(authorization, "validAfter", LATEST),
            valid_before=_number(authorization, "validBefore", LATEST),
            nonce=bytes.fromhex(nonce[2:]),
        ),
        signature=bytes.fromhex(signature[2:]),
    )


def _object(members: dict[str, Any], name: str) -> dict[str, Any]:
    value = members.get(name)
    if not isinstance(value, dict):
        raise _malformed(f"{name} is missing or not an object")
    return value


def _text(members: dict[str, Any], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str):
        raise _malformed(f"{name} is missing or not a string")
    return value


def _address(members: dict[str, Any], name: str) -> str:
    value = _text(members, name)
    if not is_address(value):
        raise _malformed(f"{name} is not an address")
    return str(to_checksum_address(value))


def _number(members: dict[str, Any], name: str, most: int) -> int:
    value = members.get(name)
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not _NUMBER.fullmatch(text) or int(text) > most:
        raise _malformed(f"{name} is not a whole number from 0 to {most}")
    return int(text)


def _malformed(detail: str) -> PaymentRefused:
    return PaymentRefused(Reason.PAYLOAD, detail)
