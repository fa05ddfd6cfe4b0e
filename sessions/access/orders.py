"""Completion orders, which an account signs itself (EIP-712) instead of using an API key.

An order consists of two headers and the request's body:

    Cortensor-Order: client=0x…; deadline=<seconds since 1970>; nonce=<0 … 2^256-1>
    Cortensor-Signature: 0x…

The other members of the `CompletionOrder` come from the body, and the signature covers the body
byte for byte. The nonce is spent when the signature is accepted, whether the task is accepted or
not. To try again, a client signs again. If the first task may have been accepted, the client sends
the same `Idempotency-Key`.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from eth_utils.address import to_checksum_address
from eth_utils.conversions import to_bytes
from eth_utils.crypto import keccak

from chain.deployed.contracts import deployment
from chain.protocol.messages import CompletionOrder, InvalidSignature, SigningDomain, recover
from sessions.access.callers import Caller
from sessions.access.errors import CredentialsRefused
from sessions.models import SpentNonce

ORDER_HEADER, SIGNATURE_HEADER = "Cortensor-Order", "Cortensor-Signature"
LONGEST_VALIDITY_S = 600
_ORDER = re.compile(
    r"client=(?P<client>0x[0-9a-fA-F]{40}); ?deadline=(?P<deadline>[0-9]{1,12});"
    r" ?nonce=(?P<nonce>[0-9]{1,78})"
)
_SIGNATURE = re.compile(r"0x[0-9a-fA-F]{130}")


@dataclass(frozen=True)
class OrderHeaders:
    """The two headers, parsed."""

    client: str
    deadline: int
    nonce: int
    signature: bytes


def read_headers(headers: Mapping[str, str]) -> OrderHeaders | None:
    """Parse the order headers of a request, or return None if it has none.

    Raises:
        CredentialsRefused: one of the headers is missing or malformed.
    """
    order, signature = headers.get(ORDER_HEADER), headers.get(SIGNATURE_HEADER)
    if order is None and signature is None:
        return None
    match = _ORDER.fullmatch(order or "")
    if match is None or int(match["nonce"]) >= 2**256:
        raise _refused(f"{ORDER_HEADER} must be 'client=0x…; deadline=…; nonce=…'")
    if _SIGNATURE.fullmatch(signature or "") is None:
        raise _refused(f"{SIGNATURE_HEADER} must be 0x and 130 hex digits: r, s, v")
    return OrderHeaders(
        client=match["client"],
        deadline=int(match["deadline"]),
        nonce=int(match["nonce"]),
        signature=to_bytes(hexstr=signature),
    )


def signing_domain() -> SigningDomain:
    """Return the EIP-712 domain of orders: this network's Session contract."""
    network = deployment()
    return SigningDomain(network.chain_id, network.addresses["Session"])


def verify(
    headers: OrderHeaders, *, body: bytes, session_id: int, prompt: str, client_reference: str
) -> Caller:
    """Return the account that signed exactly this order, and spend the order's nonce.

    Raises:
        CredentialsRefused: the signature is another's, the deadline has passed or is too far away,
            or the nonce was used before.
    """
    now = time.time()
    if headers.deadline <= now:
        raise _refused("the order's deadline has passed")
    if headers.deadline > now + LONGEST_VALIDITY_S:
        raise _refused(f"the order's deadline is more than {LONGEST_VALIDITY_S} s away")
    order = CompletionOrder(
        client=to_checksum_address(headers.client),
        session_id=session_id,
        prompt_hash=keccak(text=prompt),
        body_hash=keccak(body),
        client_reference=client_reference,
        deadline=headers.deadline,
        nonce=headers.nonce,
    )
    try:
        signer = recover(order, signing_domain(), headers.signature)
    except InvalidSignature as error:
        raise _refused("no key made this signature over this order") from error
    if signer != order.client:
        raise _refused("the signature over this body is not the client's")
    expires_at = datetime.fromtimestamp(headers.deadline, UTC)
    if not SpentNonce.spend(str(headers.nonce), expires_at, order.client.lower()):
        raise _refused("the order's nonce was used before")
    return Caller(order.client.lower())


def _refused(why: str) -> CredentialsRefused:
    return CredentialsRefused(
        why, remedy="sign a CompletionOrder over this body; see docs/access.md"
    )
