"""A node gets a mailbox only if it proves the key of a registered node."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from django.core import signing
from django.test import Client
from django.utils import timezone

from chain.protocol.messages import Enrolment, SigningDomain
from mining.assignment.mailbox_quota import let_in_again, suspend
from mining.enrolment.proof import UNUSED_AFTER
from mining.enrolment.redis_users import enrol as give_mailbox
from mining.enrolment.redis_users import enrolled, revoke
from mining.models import MinerPresence, Node, NodeState
from mining.node.account.enrolment import EnrolmentFailed, enrol
from mining.node.account.wallet import Wallet

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def wallet(tmp_path: Any, redis_url: str) -> Iterator[Wallet]:
    wallet = Wallet.create_or_open(tmp_path)
    Node.objects.create(pk=wallet.address.lower(), state=NodeState.REGISTERED)
    yield wallet
    revoke(wallet.address)


def ask(name: str, **body: object) -> Any:
    return Client().post(f"/api/v1/nodes/{name}", body, content_type="application/json")


def proof(wallet: Wallet, **changes: Any) -> dict[str, Any]:
    """Return a valid body for `enrol`, with some changes."""
    asked = ask("challenge", address=wallet.address).json()
    values = {"router": "testserver", "challenge": asked["challenge"], **changes}
    signer = changes.pop("signer", wallet)
    message = Enrolment(wallet.address, values["router"], values["challenge"])
    domain = SigningDomain(asked["chain_id"], asked["node_pool"])
    signature = "0x" + signer.sign(message, domain).hex()
    return {
        "address": wallet.address,
        "challenge": values["challenge"],
        "signature": signature,
    }


def test_a_registered_node_gets_its_mailbox(wallet: Wallet) -> None:
    answer = ask("enrol", **proof(wallet))
    assert answer.status_code == 200, answer.content
    assert answer["Cache-Control"] == "no-store"
    with redis.Redis.from_url(answer.json()["redis_url"]) as client:
        assert client.xadd(answer.json()["prefix"] + "reports", {"type": "heartbeat"})


def test_a_proof_counts_once(wallet: Wallet) -> None:
    body = proof(wallet)
    assert ask("enrol", **body).status_code == 200
    again = ask("enrol", **body)
    assert again.status_code == 403
    assert "has been used" in again.json()["detail"]


def test_a_new_proof_changes_the_password(wallet: Wallet) -> None:
    first, second = (ask("enrol", **proof(wallet)).json()["redis_url"] for _ in range(2))
    with redis.Redis.from_url(second) as client:
        assert client.ping()
    with redis.Redis.from_url(first) as client, pytest.raises(redis.exceptions.RedisError):
        client.ping()


def test_a_proof_that_does_not_hold_is_refused(wallet: Wallet, tmp_path: Any) -> None:
    stranger = Wallet.create_or_open(tmp_path / "stranger")
    forged = signing.TimestampSigner(key="another router's").sign(f"{wallet.address.lower()}:1")
    theirs = ask("challenge", address=stranger.address).json()["challenge"]
    for body in (
        proof(wallet, signer=stranger),
        proof(wallet, router="evil.example"),
        proof(wallet, challenge=forged),
        proof(wallet, challenge=theirs),
        {**proof(wallet), "signature": "0x00"},
    ):
        assert ask("enrol", **body).status_code == 403


def test_a_challenge_grows_old(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    body = proof(wallet)
    monkeypatch.setattr("mining.enrolment.proof.CHALLENGE_S", -1)
    answer = ask("enrol", **body)
    assert answer.status_code == 403
    assert "older than" in answer.json()["detail"]


def test_a_node_that_the_chain_does_not_know_is_refused(wallet: Wallet) -> None:
    Node.objects.all().delete()
    answer = ask("enrol", **proof(wallet))
    assert answer.status_code == 403
    assert "register" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("name", "body", "field"),
    [
        ("challenge", {}, "address"),
        ("challenge", {"address": "0x12"}, "address"),
        ("challenge", {"address": 5}, "address"),
        ("enrol", {"address": "0x" + "ab" * 20, "signature": "zz"}, "signature"),
        ("enrol", {"address": "0x" + "ab" * 20, "signature": "0x00"}, "challenge"),
    ],
)
def test_what_is_missing_or_wrong_is_named(name: str, body: dict[str, Any], field: str) -> None:
    answer = ask(name, **body)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_the_nodes_own_software_enrols(wallet: Wallet, live_server: Any) -> None:
    url = enrol(live_server.url, wallet)
    assert urlsplit(url).username == f"miner_{wallet.address.lower()}"
    with redis.Redis.from_url(url) as client:
        assert client.ping()
    Node.objects.all().delete()
    with pytest.raises(EnrolmentFailed, match="register"):
        enrol(live_server.url, wallet)
    with pytest.raises(EnrolmentFailed, match="does not answer"):
        enrol("http://127.0.0.1:1", wallet)


def test_a_router_has_no_more_mailboxes_than_it_takes(wallet: Wallet, settings: Any) -> None:
    settings.MAX_MAILBOXES = 1
    busy = "0x" + "ee" * 20
    give_mailbox(busy)
    MinerPresence.objects.create(pk=busy, last_seen_at=timezone.now())
    try:
        refused = ask("enrol", **proof(wallet))
        assert refused.status_code == 503
        assert int(refused["Retry-After"]) > 0
        assert "mailboxes" in refused.json()["detail"]
        MinerPresence.objects.update(last_seen_at=timezone.now() - UNUSED_AFTER * 2)
        assert ask("enrol", **proof(wallet)).status_code == 200
        assert enrolled() == [wallet.address.lower()]
        assert ask("enrol", **proof(wallet)).status_code == 200, "it has one already"
    finally:
        revoke(busy)


def test_a_suspended_node_is_told_why_and_gets_no_mailbox(wallet: Wallet) -> None:
    suspend(wallet.address.lower(), "its mailbox had too much")
    refused = ask("enrol", **proof(wallet))
    assert refused.status_code == 403
    assert "its mailbox had too much" in refused.json()["detail"]
    assert enrolled() == []
    let_in_again([wallet.address.lower()])
    assert ask("enrol", **proof(wallet)).status_code == 200
