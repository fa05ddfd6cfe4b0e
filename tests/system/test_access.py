"""Access on a whole network: sign-in, signed requests, named accounts, and refusals."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from chain.protocol.messages import CompletionOrder, SigningDomain, sign
from cortensor_site.stack.example import transact
from tests.serving import receive
from tests.system.conftest import Client

PATIENCE_S = 60.0


@contextmanager
def signed_in(client: Client, account: LocalAccount) -> Iterator[httpx.Client]:
    """A browser of this account, with the header that changes need."""
    with httpx.Client(
        base_url=f"{client.network.router_url}/api/v1/", timeout=PATIENCE_S
    ) as browser:
        offer = browser.get("auth/nonce").json()
        message = (
            f"{offer['domain']} wants you to sign in with your Ethereum account:\n"
            f"{account.address}\n\n\nURI: {offer['uri']}\nVersion: 1\n"
            f"Chain ID: {offer['chain_id']}\nNonce: {offer['nonce']}\n"
            f"Issued At: {datetime.now(UTC).isoformat()}"
        )
        signature = bytes(account.sign_message(encode_defunct(text=message)).signature)
        proof = {"message": message, "signature": "0x" + signature.hex()}
        answer = browser.post("auth/sign-in", json=proof)
        assert answer.status_code == 200, answer.text
        browser.headers["X-CSRFToken"] = answer.json()["csrf_token"]
        yield browser


def test_an_order_that_the_owner_signed_is_answered_and_heard_once(client: Client) -> None:
    session_id = client.session(1)
    prompt = "What is 12 + 7?"
    body = json.dumps({"session_id": session_id, "prompt": prompt, "max_tokens": 24}).encode()
    order = CompletionOrder(
        client=client.account.address,
        session_id=session_id,
        prompt_hash=keccak(text=prompt),
        body_hash=keccak(body),
        client_reference="",
        deadline=int(time.time()) + 60,
        nonce=secrets.randbits(256),
    )
    domain = SigningDomain(client.w3.eth.chain_id, client.contracts.session.address)
    headers = {
        "Cortensor-Order": f"client={order.client}; deadline={order.deadline}; nonce={order.nonce}",
        "Cortensor-Signature": "0x" + sign(order, domain, client.account.key).hex(),
    }
    url = f"{client.network.router_url}/api/v1/completions"
    answer = httpx.post(url, content=body, headers=headers, timeout=PATIENCE_S)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["text"]
    assert httpx.post(url, content=body, headers=headers).status_code == 401


def test_an_account_that_the_owner_names_on_chain_sees_the_session_and_uses_it(
    client: Client,
) -> None:
    session_id = client.session(1)
    friend: LocalAccount = Account.create()
    with signed_in(client, friend) as browser:
        assert browser.get(f"sessions/{session_id}").status_code == 404
        metadata = json.dumps({"users": [friend.address]})
        update = client.contracts.session.functions.update(
            "shared", metadata, session_id, 1, 1, 1, 1, 0
        )
        transact(client.w3, client.account, update)
        until = time.monotonic() + PATIENCE_S
        while browser.get(f"sessions/{session_id}").status_code != 200:
            assert time.monotonic() < until, "the mirror never showed the new metadata"
            time.sleep(0.2)
        made = browser.post("keys", json={"name": "bot", "session_id": session_id})
        key = {"Authorization": f"Bearer {made.json()['key']}"}
    answer = httpx.post(
        f"{client.network.router_url}/api/v1/completions/{session_id}",
        json={"prompt": "What is 2 + 7?", "max_tokens": 24},
        headers=key,
        timeout=PATIENCE_S,
    )
    assert answer.status_code == 200, answer.text


def test_a_webhook_tells_of_the_settlement(client: Client) -> None:
    session_id = client.session(3)
    with receive() as receiver, signed_in(client, client.account) as browser:
        made = browser.post("webhooks", json={"url": receiver.url, "session_id": session_id})
        assert made.status_code == 201, made.text
        client.router.ask(session_id, "What is 3 + 4?", lambda _: None)
        until = time.monotonic() + PATIENCE_S
        while not receiver.requests:
            assert time.monotonic() < until, "nothing was told"
            time.sleep(0.2)
        [request] = receiver.requests
        told = json.loads(request.body)
        assert (told["type"], told["data"]["session_id"]) == ("task.ended", session_id)
        assert told["data"]["outcome"]["code"] == "settled"
        signed = ".".join(request.headers[f"webhook-{name}"] for name in ("id", "timestamp"))
        key = base64.b64decode(made.json()["secret"].removeprefix("whsec_"))
        mac = hmac.digest(key, f"{signed}.".encode() + request.body, hashlib.sha256)
        assert request.headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"
        assert browser.delete(f"webhooks/{made.json()['id']}").status_code == 204
