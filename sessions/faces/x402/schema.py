"""The OpenAPI description of the paths that are paid per call."""

from typing import Any

from sessions.faces.openapi import examples
from sessions.faces.x402.errors import Reason
from sessions.faces.x402.offer import Offer

_OFFER = Offer(
    amount_wei=537_000_000_000_000,
    chain_id=31337,
    asset="0x5FbDB2315678afecb367f032d93F642f64180aa3",
    pay_to="0x403B586E7e81D490FcEEcD9C3CD3d48aB504E033",
    resource="http://127.0.0.1:5010/api/v1/x402/completions",
    max_tokens=128,
    input_tokens=51,
)
_PAYMENT_REQUIRED: dict[str, Any] = {
    "type": "object",
    "description": "x402, version 1; the header PAYMENT-REQUIRED has version 2, JSON in base64.",
    "required": ["x402Version", "error", "accepts"],
    "properties": {
        "x402Version": {"const": 1},
        "error": {"enum": [reason.value for reason in Reason]},
        "detail": {"type": "string", "description": "the error in words, with figures"},
        "accepts": {"type": "array", "minItems": 1, "items": {"type": "object"}},
    },
    "example": {
        "x402Version": 1,
        "error": Reason.REQUIRED.value,
        "detail": f"pay first: {_OFFER.description}",
        "accepts": [_OFFER.to_requirements_in_version_1()],
    },
}
_HEADERS = [
    {
        "name": name,
        "in": "header",
        "description": f"the payment by x402, version {version}: JSON in base64",
        "schema": {"type": "string"},
    }
    for name, version in (("PAYMENT-SIGNATURE", 2), ("X-PAYMENT", 1))
]
_SESSION = {
    "name": "session_id",
    "in": "path",
    "required": True,
    "schema": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
}


def _pay(operation_id: str, summary: str, *parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "summary": summary,
        "description": (
            "Without a key: the first request is answered with 402 and the price, the second one"
            " carries a payment (x402, scheme `exact`). The same payment with the same request is"
            " the same task."
        ),
        "tags": ["Completions"],
        "security": [],
        "parameters": [*parameters, *_HEADERS],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/CompletionRequest"},
                    "example": {"prompt": "What is 12 + 7?"},
                }
            },
        },
        "responses": {
            "200": {
                "description": "the answer; its header PAYMENT-RESPONSE names the transfer",
                "content": {
                    "application/json": {
                        "schema": {"$ref": "#/components/schemas/Completion"},
                        "example": examples.COMPLETION,
                    },
                    "text/event-stream": {
                        "schema": {"description": "server-sent events"},
                        "example": examples.EVENTS,
                    },
                },
            },
            "402": {
                "description": "what the call costs, and what was wrong with the payment",
                "content": {"application/json": {"schema": _PAYMENT_REQUIRED}},
            },
        },
    }


PATHS: dict[str, Any] = {
    "/api/v1/x402/completions": {
        "post": _pay("x402_completions_create", "Send a prompt and pay for its answer")
    },
    "/api/v1/x402/completions/{session_id}": {
        "post": _pay(
            "x402_completions_create_in", "Send a prompt in this session and pay for it", _SESSION
        )
    },
}
