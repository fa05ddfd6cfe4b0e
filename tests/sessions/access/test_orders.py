"""Requests signed by the account: valid for one body, one session, once, and a short time."""

import json
import time
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from chain.protocol.messages import CompletionOrder, SigningDomain, sign
from sessions.models import Session, SpentNonce, Task
from tests.sessions.access.conftest import CHAIN_ID, SESSION_CONTRACT
from tests.sessions.api_client import problem_of
from tests.sessions.factories import make_key, make_session

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("network")]

DOMAIN = SigningDomain(CHAIN_ID, SESSION_CONTRACT)


@pytest.fixture
def account() -> LocalAccount:
    made: LocalAccount = Account.create()
    return made


@pytest.fixture
def session(account: LocalAccount) -> Session:
    # The balance is 0: whoever is let in gets as far as that, and waits for no miner.
    return make_session(owner=account.address.lower(), deposited_wei=0)


def body_for(session: Session, **members: Any) -> bytes:
    return json.dumps(
        {"session_id": session.session_id, "prompt": "two words", "max_tokens": 8} | members
    ).encode()


def headers_for(
    account: LocalAccount,
    session: Session,
    body: bytes,
    domain: SigningDomain = DOMAIN,
    **changes: Any,
) -> dict[str, str]:
    values: dict[str, Any] = {
        "client": account.address,
        "session_id": session.session_id,
        "prompt_hash": keccak(text=json.loads(body)["prompt"]),
        "body_hash": keccak(body),
        "client_reference": json.loads(body).get("client_reference", ""),
        "deadline": int(time.time()) + 60,
        "nonce": 7,
    }
    order = CompletionOrder(**(values | changes))
    return {
        "Cortensor-Order": (
            f"client={order.client}; deadline={order.deadline}; nonce={order.nonce}"
        ),
        "Cortensor-Signature": "0x" + sign(order, domain, account.key).hex(),
    }


def send(client: Client, body: bytes, headers: dict[str, str]) -> HttpResponse:
    return client.post(
        "/api/v1/completions", body, content_type="application/json", headers=headers
    )


def test_an_owners_signature_is_all_that_is_needed(
    client: Client, account: LocalAccount, session: Session
) -> None:
    body = body_for(session, client_reference="order 7")
    answer = send(client, body, headers_for(account, session, body))
    assert problem_of(answer, 402)["type"] == "urn:cortensor:problem:insufficient_balance"


def test_an_order_is_heard_once(client: Client, account: LocalAccount, session: Session) -> None:
    body = body_for(session)
    headers = headers_for(account, session, body)
    problem_of(send(client, body, headers), 402)
    replayed = problem_of(send(client, body, headers), 401)
    assert "used before" in replayed["detail"]
    problem_of(send(client, body, headers_for(account, session, body, nonce=8)), 402)
    # Another account's nonces are its own.
    other: LocalAccount = Account.create()
    problem_of(send(client, body, headers_for(other, session, body)), 404)


def test_any_other_body_is_not_what_was_signed(
    client: Client, account: LocalAccount, session: Session
) -> None:
    body = body_for(session)
    headers = headers_for(account, session, body)
    for changed in (
        body_for(session, max_tokens=9),
        body_for(session, prompt="other words"),
        body_for(session, client_reference="x"),
        body_for(make_session(owner=account.address.lower())),
        body + b" ",
    ):
        problem_of(send(client, changed, headers), 401)
    assert not SpentNonce.objects.exists()
    assert not Task.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"deadline": 1},
        {"deadline": int(time.time()) + 10**6},
        {"domain": SigningDomain(1, SESSION_CONTRACT)},
        {"domain": SigningDomain(CHAIN_ID, "0x" + "11" * 20)},
        {"prompt_hash": bytes(32)},
        {"session_id": 999_999},
        {"client": Account.create().address},
    ],
)
def test_a_signature_over_something_else_is_refused(
    client: Client, account: LocalAccount, session: Session, changes: dict[str, Any]
) -> None:
    body = body_for(session)
    problem_of(send(client, body, headers_for(account, session, body, **changes)), 401)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        *(("Cortensor-Order", value) for value in ("", "x", "client=0x12; deadline=1; nonce=1")),
        ("Cortensor-Order", "client=0x" + "ab" * 20 + "; deadline=99999999999; nonce=" + "9" * 78),
        ("Cortensor-Order", "client=0x" + "ab" * 20 + "; deadline=-1; nonce=1"),
        *(("Cortensor-Signature", value) for value in ("", "0x", "0x" + "g" * 130)),
        ("Cortensor-Signature", "0x" + "00" * 65),
        ("Cortensor-Signature", "0x" + "ff" * 65),
        ("Cortensor-Signature", "0x" + "00" * 9_000),
    ],
)
def test_malformed_headers_are_refused(
    client: Client, account: LocalAccount, session: Session, header: str, value: str
) -> None:
    body = body_for(session)
    headers = headers_for(account, session, body) | {header: value}
    problem_of(send(client, body, headers), 401)


def test_a_header_that_is_missing_is_refused_and_no_key_stands_in_for_it(
    client: Client, account: LocalAccount, session: Session
) -> None:
    body = body_for(session)
    for name in ("Cortensor-Order", "Cortensor-Signature"):
        headers = headers_for(account, session, body)
        del headers[name]
        _, secret = make_key(account.address)
        problem_of(send(client, body, headers | {"Authorization": f"Bearer {secret}"}), 401)


def test_a_strangers_signature_opens_no_session(client: Client, session: Session) -> None:
    stranger: LocalAccount = Account.create()
    body = body_for(session)
    problem_of(send(client, body, headers_for(stranger, session, body)), 404)
