"""The price of a call and its terms of payment: the requirements of x402, versions 1 and 2."""

from dataclasses import dataclass
from typing import Any

from chain.protocol.messages import DOMAIN_NAME, DOMAIN_VERSION
from sessions.errors import cor

SCHEME = "exact"
MAX_TIMEOUT_S = 120
"""How long an authorization should be valid: it covers clock skew, a queue and a few blocks."""
MIME_TYPE = "application/json"
OUTPUT_SCHEMA: dict[str, Any] = {
    "input": {"type": "http", "method": "POST", "bodyType": "json"},
    "output": {
        "type": "object",
        "required": ["id", "object", "created", "model", "choices", "usage"],
        "properties": {
            "id": {"type": "string"},
            "object": {"const": "text_completion"},
            "created": {"type": "integer"},
            "model": {"type": "string"},
            "choices": {"type": "array", "items": {"type": "object"}},
            "usage": {"type": "object"},
            "session_id": {"type": "integer"},
            "task_id": {"type": "integer"},
        },
    },
}
_NAMES_IN_VERSION_1 = {
    8453: "base",
    84532: "base-sepolia",
    137: "polygon",
    80002: "polygon-amoy",
    43114: "avalanche",
    43113: "avalanche-fuji",
}


@dataclass(frozen=True)
class Offer:
    """One call at its price. Addresses are checksummed, and `amount_wei` is in wei of $COR.

    `resource` is the URL of the request.
    """

    amount_wei: int
    chain_id: int
    asset: str
    pay_to: str
    resource: str
    max_tokens: int
    input_tokens: int

    @property
    def network(self) -> str:
        """The chain's name in version 2 (CAIP-2)."""
        return f"eip155:{self.chain_id}"

    @property
    def network_in_version_1(self) -> str:
        """The chain's name in version 1. A chain without such a name has its CAIP-2 name."""
        return _NAMES_IN_VERSION_1.get(self.chain_id, self.network)

    @property
    def description(self) -> str:
        return (
            f"A completion of at most {self.max_tokens} tokens to a prompt of {self.input_tokens}:"
            f" {cor(self.amount_wei)} COR, paid before the answer and paid back if there is none"
        )

    @property
    def extra(self) -> dict[str, str]:
        """The token's signing domain. `paymentFlow` says that the transfer precedes the answer."""
        return {"name": DOMAIN_NAME, "version": DOMAIN_VERSION, "paymentFlow": "upfront"}

    def to_requirements(self) -> dict[str, Any]:
        """Return the member of `accepts` in version 2."""
        return {
            "scheme": SCHEME,
            "network": self.network,
            "asset": self.asset,
            "amount": str(self.amount_wei),
            "payTo": self.pay_to,
            "maxTimeoutSeconds": MAX_TIMEOUT_S,
            "extra": self.extra,
        }

    def to_requirements_in_version_1(self) -> dict[str, Any]:
        """Return the member of `accepts` in version 1."""
        return {
            "scheme": SCHEME,
            "network": self.network_in_version_1,
            "maxAmountRequired": str(self.amount_wei),
            "asset": self.asset,
            "payTo": self.pay_to,
            "resource": self.resource,
            "description": self.description,
            "mimeType": MIME_TYPE,
            "outputSchema": OUTPUT_SCHEMA,
            "maxTimeoutSeconds": MAX_TIMEOUT_S,
            "extra": self.extra,
        }

    def to_resource(self) -> dict[str, str]:
        """Return the `resource` of version 2."""
        return {
            "url": self.resource,
            "description": self.description,
            "mimeType": MIME_TYPE,
            "serviceName": "Cortensor router",
        }
