"""A client with only a wallet, using x402's own SDK unmodified; and every refusal."""

import asyncio
import base64
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from eth_account.signers.local import LocalAccount
from pytest_django.fixtures import Settings
from x402 import x402Client, x402ClientSync
from x402.http.clients import x402HttpxClient
from x402.http.clients.requests import x402_requests
from x402.http.utils import decode_payment_response_header, encode_payment_signature_header
from x402.mechanisms.evm.exact import ExactEvmScheme
from x402.mechanisms.evm.signers import EthAccountSigner
from x402.schemas import PaymentPayload, PaymentRequirements
from x402.schemas.v1 import PaymentPayloadV1

from sessions.faces.x402.offer import Offer
from sessions.faces.x402.wire import SignedPayment
from sessions.models import ApiKey, Payment, PaymentStatus, Session, Task
from tests.anvil import CLIENT, DEPLOYER, Chain, account
from tests.sessions.faces.openai.conftest import PIECES
from tests.sessions.faces.x402.conftest import PRICE_WEI, PURSE_WEI, Sign, blocks
from tests.sessions.factories import make_session
from tests.sessions.ports import DEFAULTS, no_miners_online, replace_ports

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/api/v1/x402/completions"
BODY: dict[str, Any] = {"prompt": "two words", "max_tokens": 8}
ANSWER = "".join(PIECES)


def willing(wallet: LocalAccount, client: Any = None) -> Any:
    """The SDK's client as its documentation makes it, which may pay in our token."""
    client = client or x402Client()
    client.register("eip155:*", ExactEvmScheme(EthAccountSigner(wallet)))
    # By default it pays in a few dollars' tokens only.
    client.set_spend_controls({"allowed_assets": True})
    return client


def ask(url: str, wallet: LocalAccount, body: dict[str, Any], path: str = PATH) -> httpx.Response:
    async def request() -> httpx.Response:
        async with x402HttpxClient(willing(wallet), base_url=url, timeout=60) as client:
            return await client.post(path, json=body)

    return asyncio.run(request())


def headers_of(payment: SignedPayment, offer: Offer) -> dict[str, str]:
    """What the SDK would send for a payment that we have signed."""
    transfer = payment.transfer
    authorization = {
        "from": transfer.payer,
        "to": transfer.to,
        "value": str(transfer.value),
        "validAfter": str(transfer.valid_after),
        "validBefore": str(transfer.valid_before),
        "nonce": "0x" + transfer.nonce.hex(),
    }
    payload = {"signature": "0x" + payment.signature.hex(), "authorization": authorization}
    if payment.version == 1:
        first = PaymentPayloadV1(scheme="exact", network=offer.network, payload=payload)
        return {"X-PAYMENT": encode_payment_signature_header(first)}
    accepted = PaymentRequirements.model_validate(offer.to_requirements())
    second = PaymentPayload(payload=payload, accepted=accepted)
    return {"PAYMENT-SIGNATURE": encode_payment_signature_header(second)}


def balance_of(chain: Chain, holder: LocalAccount) -> int:
    return int(chain.contract("CortensorToken").functions.balanceOf(holder.address).call())


# ── the SDK ──────────────────────────────────────────────────────────────────


def test_the_sdk_pays_and_is_answered(
    router_url: str,
    chain: Chain,
    session: Session,
    payer: LocalAccount,
    till: LocalAccount,
    miners: None,
    settling: None,
) -> None:
    answer = ask(router_url, payer, BODY)
    assert answer.status_code == 200, answer.text
    completion = answer.json()
    assert completion["choices"][0]["text"] == ANSWER
    assert completion["session_id"] == session.session_id
    settled = decode_payment_response_header(answer.headers["PAYMENT-RESPONSE"])
    assert settled.success
    assert settled.payer == payer.address
    receipt = chain.w3.eth.get_transaction_receipt(settled.transaction)  # type: ignore[arg-type]
    assert receipt["status"] == 1
    assert balance_of(chain, till) == PRICE_WEI
    assert balance_of(chain, payer) == PURSE_WEI - PRICE_WEI
    assert not ApiKey.objects.exists()


def test_the_sdk_pays_for_a_stream(
    router_url: str, payer: LocalAccount, miners: None, settling: None
) -> None:
    answer = ask(router_url, payer, BODY | {"stream": True})
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert decode_payment_response_header(answer.headers["PAYMENT-RESPONSE"]).success
    bodies = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert bodies[-1] == "[DONE]"
    assert "".join(json.loads(b)["choices"][0]["text"] for b in bodies[:-1]) == ANSWER


def test_the_sdk_for_requests_pays_as_well(
    router_url: str, payer: LocalAccount, miners: None, settling: None
) -> None:
    with x402_requests(willing(payer, x402ClientSync())) as client:
        answer = client.post(f"{router_url}{PATH}", json=BODY, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["text"] == ANSWER


def test_each_call_is_paid_for_by_itself(
    router_url: str,
    chain: Chain,
    payer: LocalAccount,
    till: LocalAccount,
    miners: None,
    settling: None,
) -> None:
    first, second = (ask(router_url, payer, BODY).json() for _ in range(2))
    assert first["task_id"] != second["task_id"]
    assert balance_of(chain, till) == 2 * PRICE_WEI


def test_the_session_can_be_named_in_the_address(
    router_url: str, session: Session, payer: LocalAccount, miners: None, settling: None
) -> None:
    other = make_session(owner=session.owner)
    answer = ask(router_url, payer, BODY, f"{PATH}/{other.session_id}")
    assert answer.json()["session_id"] == other.session_id


def test_who_has_too_little_is_told_so_and_has_lost_nothing(
    router_url: str, session: Session, chain: Chain, settling: None
) -> None:
    answer = ask(router_url, account("poor"), BODY)
    assert answer.status_code == 402
    assert answer.json()["error"] == "invalid_exact_evm_insufficient_balance"
    assert not Task.objects.exists()


# ── the protocol ─────────────────────────────────────────────────────────────

Post = Callable[..., httpx.Response]


@pytest.fixture
def post(router_url: str) -> Post:
    def send(body: Any = BODY, path: str = PATH, **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.post(f"{router_url}{path}", content=content, headers=headers, timeout=60)

    return send


def test_the_first_answer_says_what_the_call_costs(post: Post, offer: Offer) -> None:
    answer = post()
    assert answer.status_code == 402
    assert answer.headers["Content-Type"] == "application/json"
    asked = json.loads(base64.b64decode(answer.headers["PAYMENT-REQUIRED"]))
    assert asked["x402Version"] == 2
    assert asked["accepts"] == [offer.to_requirements()]
    body = answer.json()
    assert body["x402Version"] == 1
    assert body["error"] == "payment_required"
    [requirements] = body["accepts"]
    assert requirements["maxAmountRequired"] == str(PRICE_WEI)
    assert requirements["resource"].endswith(PATH)
    assert "30 COR" not in requirements["description"]
    assert "0.00000000000000003 COR" in requirements["description"]


def test_a_default_of_tokens_is_cut_to_the_models_room_and_priced_so(post: Post) -> None:
    [requirements] = post({"prompt": "two words"}).json()["accepts"]
    assert requirements["maxAmountRequired"] == str(3 * 2 + DEFAULTS.max_tokens * 3)
    [requirements] = post({"prompt": " ".join(["w"] * 50)}).json()["accepts"]
    assert requirements["maxAmountRequired"] == str(51 * 2 + (64 - 51) * 3)


def test_version_1_is_paid_and_told_in_its_own_headers(
    post: Post, signed: Sign, offer: Offer, miners: None, settling: None
) -> None:
    answer = post(**headers_of(signed(version=1), offer))
    assert answer.status_code == 200, answer.text
    settled = decode_payment_response_header(answer.headers["X-PAYMENT-RESPONSE"])
    assert settled.success
    assert "PAYMENT-RESPONSE" not in answer.headers


def test_a_repeated_request_is_answered_again_and_paid_for_once(
    post: Post,
    signed: Sign,
    offer: Offer,
    chain: Chain,
    till: LocalAccount,
    miners: None,
    settling: None,
) -> None:
    headers = headers_of(signed(), offer)
    first, again = post(**headers), post(**headers)
    assert first.json() == again.json()
    assert first.headers["PAYMENT-RESPONSE"] == again.headers["PAYMENT-RESPONSE"]
    assert balance_of(chain, till) == PRICE_WEI
    assert Task.objects.count() == 1


def test_nothing_goes_out_before_the_transfer_is_made(
    post: Post, signed: Sign, offer: Offer, chain: Chain, payer: LocalAccount, miners: None
) -> None:
    """The miners have answered at once; the chain has not."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(post, **headers_of(signed(), offer))
        with pytest.raises(TimeoutError):
            waiting.result(timeout=3)
        assert Task.objects.filter(status="validated").exists()
        chain.rpc("anvil_setBalance", payer.address, hex(10**18))
        token = chain.contract("CortensorToken").functions
        chain.transact(payer, token.transfer(DEPLOYER.address, PURSE_WEI))
        with blocks(chain):
            answer = waiting.result(timeout=30)
    assert answer.status_code == 402
    assert ANSWER not in answer.text
    assert answer.json()["error"] == "transaction_failed"
    settled = decode_payment_response_header(answer.headers["PAYMENT-RESPONSE"])
    assert not settled.success
    assert settled.error_reason == "transaction_failed"
    assert Payment.objects.get().status == PaymentStatus.REFUSED


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"value": 1}, "invalid_exact_evm_payload_authorization_value_mismatch"),
        ({"to": CLIENT.address}, "invalid_exact_evm_payload_recipient_mismatch"),
        ({"signer": account("thief")}, "invalid_exact_evm_payload_signature"),
        (
            {"valid_before": int(time.time())},
            "invalid_exact_evm_payload_authorization_valid_before",
        ),
    ],
)
def test_a_bad_payment_is_refused_in_the_protocols_form(
    post: Post, signed: Sign, offer: Offer, changes: dict[str, Any], error: str
) -> None:
    answer = post(**headers_of(signed(**changes), offer))
    assert answer.status_code == 402
    assert answer.json()["error"] == error
    assert answer.json()["detail"]
    asked = json.loads(base64.b64decode(answer.headers["PAYMENT-REQUIRED"]))
    assert (asked["error"], asked["accepts"]) == (error, [offer.to_requirements()])
    assert not Task.objects.exists()


def test_a_header_that_is_no_payment_is_refused(post: Post) -> None:
    answer = post(**{"X-PAYMENT": "not base64!"})
    assert answer.status_code == 402
    assert answer.json()["error"] == "invalid_payload"


# ── everything else ──────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "prompt"), (BODY | {"max_tokens": "many"}, "max_tokens"), (b"{", None)],
)
def test_a_bad_body_is_a_problem_that_names_the_field_and_asks_for_no_money(
    post: Post, body: Any, field: str | None
) -> None:
    answer = post(body)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == ([field] if field else [])


def test_a_prompt_that_no_model_holds_is_refused_before_it_is_paid_for(post: Post) -> None:
    answer = post({"prompt": "word " * 100})
    assert answer.status_code == 400
    assert answer.json()["field"] == "prompt"


def test_somebody_elses_session_is_not_paid_per_call(post: Post) -> None:
    stranger = make_session()
    answer = post(path=f"{PATH}/{stranger.session_id}")
    assert answer.status_code == 404
    assert answer.json()["type"].endswith("pay_per_call_not_offered")


def test_a_router_without_a_till_offers_nothing(
    post: Post, settings: Settings, tmp_path: Any
) -> None:
    settings.KEYSTORE_DIR = tmp_path / "none"
    assert post().status_code == 404


def test_a_router_without_miners_asks_for_no_money(post: Post) -> None:
    replace_ports(miners_online=no_miners_online)
    answer = post()
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]


def test_other_methods_are_not_allowed(router_url: str) -> None:
    assert httpx.get(f"{router_url}{PATH}").status_code == 405


def test_visitors_of_one_address_are_limited(post: Post, settings: Settings) -> None:
    settings.LIMITS = settings.LIMITS | {"visitor_requests_per_minute": 2}
    statuses = [post().status_code for _ in range(3)]
    assert statuses == [402, 402, 429]
