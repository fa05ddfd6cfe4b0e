"""x402's own SDK reads what the router sends, and the reverse."""

import base64
import json
from typing import Any

import pytest
from x402.http.utils import (
    decode_payment_required_header,
    decode_payment_response_header,
    encode_payment_signature_header,
)
from x402.schemas import PaymentPayload, PaymentRequired, PaymentRequirements
from x402.schemas.v1 import PaymentPayloadV1, PaymentRequiredV1

from sessions.faces.x402.errors import PaymentRefused, Reason
from sessions.faces.x402.offer import MAX_TIMEOUT_S, Offer
from sessions.faces.x402.wire import LATEST, payment_required, read_payment, settlement
from sessions.models import Payment

PAYER, TILL, TOKEN = ("0x" + byte * 20 for byte in ("a1", "b2", "c3"))
OFFER = Offer(537, 31337, TOKEN, TILL, "http://router/x", max_tokens=8, input_tokens=3)
AUTHORIZATION: dict[str, Any] = {
    "from": PAYER,
    "to": TILL,
    "value": "537",
    "validAfter": "0",
    "validBefore": "1900000000",
    "nonce": "0x" + "07" * 32,
}
PAYLOAD = {"signature": "0x" + "5a" * 65, "authorization": AUTHORIZATION}
REFUSAL = PaymentRefused(Reason.REQUIRED, "pay first")


def header_of(members: dict[str, Any]) -> str:
    return base64.b64encode(json.dumps(members).encode()).decode()


def in_version_1(**authorization: Any) -> dict[str, Any]:
    payload = PAYLOAD | {"authorization": AUTHORIZATION | authorization}
    return {"x402Version": 1, "scheme": "exact", "network": "eip155:31337", "payload": payload}


def test_the_sdk_reads_what_is_asked_in_version_2() -> None:
    _, header = payment_required(OFFER, REFUSAL)
    asked = decode_payment_required_header(header)
    assert isinstance(asked, PaymentRequired)
    [requirements] = asked.accepts
    assert (requirements.scheme, requirements.network) == ("exact", "eip155:31337")
    assert (requirements.asset, requirements.pay_to) == (TOKEN, TILL)
    assert requirements.amount == "537"
    assert requirements.max_timeout_seconds == MAX_TIMEOUT_S
    assert requirements.extra == {"name": "Cortensor", "version": "1", "paymentFlow": "upfront"}
    assert asked.error == "payment_required"
    assert asked.resource is not None
    assert asked.resource.url == "http://router/x"
    assert "0.000000000000000537 COR" in str(asked.resource.description)


def test_the_sdk_reads_what_is_asked_in_version_1() -> None:
    body, _ = payment_required(OFFER, REFUSAL)
    [requirements] = PaymentRequiredV1.model_validate(body).accepts
    assert requirements.max_amount_required == "537"
    assert requirements.resource == "http://router/x"
    assert requirements.mime_type == "application/json"
    assert requirements.output_schema is not None
    assert requirements.output_schema["output"]["type"] == "object"


@pytest.mark.parametrize(("chain_id", "name"), [(84532, "base-sepolia"), (31337, "eip155:31337")])
def test_version_1_has_the_names_of_the_chains_that_it_knows(chain_id: int, name: str) -> None:
    offer = Offer(1, chain_id, TOKEN, TILL, "", max_tokens=8, input_tokens=3)
    assert offer.to_requirements_in_version_1()["network"] == name


def test_the_sdks_payments_are_read_in_both_versions() -> None:
    accepted = PaymentRequirements.model_validate(OFFER.to_requirements())
    second = PaymentPayload(payload=PAYLOAD, accepted=accepted)
    first = PaymentPayloadV1(scheme="exact", network="eip155:31337", payload=PAYLOAD)
    for name, paid in (("PAYMENT-SIGNATURE", second), ("X-PAYMENT", first)):
        read = read_payment({name: encode_payment_signature_header(paid)})
        assert read is not None
        assert read.version == paid.x402_version
        assert (read.scheme, read.network) == ("exact", "eip155:31337")
        assert read.transfer.payer.lower() == PAYER
        assert (read.transfer.value, read.transfer.valid_before) == (537, 1_900_000_000)
        assert read.signature == b"\x5a" * 65


def test_the_sdk_reads_what_came_of_a_payment() -> None:
    payment = Payment(payer=PAYER, amount_wei=537, transaction="0x" + "11" * 32)
    settled = decode_payment_response_header(
        settlement(payment, OFFER.network, 2)["PAYMENT-RESPONSE"]
    )
    assert (settled.success, settled.transaction) == (True, "0x" + "11" * 32)
    assert (str(settled.payer).lower(), settled.amount) == (PAYER, "537")
    payment = Payment(payer=PAYER, amount_wei=537, error="ERC20InsufficientBalance()")
    refused = decode_payment_response_header(
        settlement(payment, OFFER.network, 1)["X-PAYMENT-RESPONSE"]
    )
    assert (refused.success, refused.error_reason) == (False, "transaction_failed")


def test_a_request_without_a_payment_has_none() -> None:
    assert read_payment({}) is None


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("not base64!", "no"),
        (base64.b64encode(b"{").decode(), "JSON"),
        (base64.b64encode(b"[]").decode(), "object"),
        (base64.b64encode(b"[" * 5_000).decode(), "JSON"),
        ("A" * 20_000, "longer"),
        (header_of({"x402Version": 1}), "payload"),
        (header_of(in_version_1() | {"network": 7}), "network"),
        (header_of(in_version_1() | {"payload": {"signature": "0x11"}}), "authorization"),
        (header_of(in_version_1(**{"from": "0x12"})), "from"),
        (header_of(in_version_1(to=None)), "to"),
        (header_of(in_version_1(value="-1")), "value"),
        (header_of(in_version_1(value=True)), "value"),
        (header_of(in_version_1(value=str(2**256))), "value"),
        (header_of(in_version_1(validBefore=str(LATEST + 1))), "validBefore"),
        (header_of(in_version_1(validAfter=1.5)), "validAfter"),
        (header_of(in_version_1(nonce="0x" + "07" * 31)), "nonce"),
    ],
)
def test_a_malformed_payment_is_refused_by_its_member(header: str, says: str) -> None:
    with pytest.raises(PaymentRefused) as caught:
        read_payment({"X-PAYMENT": header})
    assert caught.value.reason == Reason.PAYLOAD
    assert says in caught.value.detail


def test_a_header_carries_its_own_version_only() -> None:
    with pytest.raises(PaymentRefused) as caught:
        read_payment({"PAYMENT-SIGNATURE": header_of(in_version_1())})
    assert caught.value.reason == Reason.VERSION
