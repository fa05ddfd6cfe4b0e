"""Which reports of idle nodes a router accepts and relays at its own cost."""

import time
from typing import Any

import pytest
from django.utils import timezone
from eth_account.signers.local import LocalAccount

from chain.deployed.contracts import Deployment
from chain.models import Operation
from chain.protocol.messages import SigningDomain, sign
from chain.protocol.network_messages import NetworkMessage, NetworkPrecommit, Ping
from mining.errors import ReportRefused
from mining.models import NetworkAsk
from mining.network.reports import accept, is_network_report
from mining.node.network.job import (
    NetworkDeclinedReport,
    NetworkPingReport,
    NetworkPrecommitReport,
)
from mining.node.protocol.reports import write_report
from mining.node.protocol.wire import Malformed, Wire
from tests.mining.conftest import CHAIN_ID, make_account

pytestmark = pytest.mark.django_db
COGNITIVE = "0x" + "C0" * 20
DOMAIN = SigningDomain(CHAIN_ID, COGNITIVE)
SEED = 2**256 - 5
HASH = bytes(range(32))


@pytest.fixture(autouse=True)
def cognitive(deployment: Deployment, settings: Any) -> None:
    deployment.addresses["Cognitive"] = COGNITIVE
    deployment.save(settings.DEPLOYMENT_FILE)


@pytest.fixture
def node() -> LocalAccount:
    return make_account()


def signed(message: NetworkMessage, account: LocalAccount) -> bytes:
    return sign(message, DOMAIN, bytes(account.key))


def asked(node: LocalAccount, stage: str, number: int = 3, seed: int = SEED) -> NetworkAsk:
    address = node.address.lower()
    return NetworkAsk.objects.create(node=address, stage=stage, number=number, seed=seed)


def precommit(node: LocalAccount, **changes: Any) -> NetworkPrecommitReport:
    signature = signed(NetworkPrecommit(3, SEED, HASH), node)
    values = {"number": 3, "seed": SEED, "hash": HASH, "signature": signature}
    return NetworkPrecommitReport(**values | changes)


def take(node: LocalAccount, report: Wire) -> None:
    accept(node.address.lower(), write_report(report), timezone.now())


def test_a_signed_answer_to_what_was_asked_goes_to_the_outbox_once(node: LocalAccount) -> None:
    ask = asked(node, "complete")
    for _ in range(2):
        take(node, precommit(node))
    operation = Operation.objects.get()
    assert operation.kind == "network_precommit"
    assert operation.payload["miner"] == node.address
    assert operation.payload["seed"] == SEED
    ask.refresh_from_db()
    assert ask.answered_at is not None


def test_nothing_is_relayed_that_was_not_asked(node: LocalAccount) -> None:
    asked(make_account(), "complete")
    asked(node, "complete", seed=SEED - 1)
    asked(node, "reveal")
    with pytest.raises(ReportRefused, match="was not asked"):
        take(node, precommit(node))
    assert not Operation.objects.exists()


def test_another_nodes_signature_is_refused(node: LocalAccount) -> None:
    asked(node, "complete")
    other = signed(NetworkPrecommit(3, SEED, HASH), make_account())
    with pytest.raises(ReportRefused, match="not by the mailbox's owner"):
        take(node, precommit(node, signature=other))
    with pytest.raises(ReportRefused):
        take(node, precommit(node, signature=b"\x01"))
    assert not Operation.objects.exists()


def test_one_ping_is_taken_each_time_that_one_is_asked_for(node: LocalAccount) -> None:
    ask = asked(node, "ping", 0, 0)

    def ping(second: int) -> NetworkPingReport:
        at = int(time.time()) - second
        return NetworkPingReport(time=at, signature=signed(Ping(node.address, at), node))

    take(node, ping(5))
    with pytest.raises(ReportRefused, match="answered the last request already"):
        take(node, ping(4))
    ask.asked_at = timezone.now()
    ask.save()
    take(node, ping(3))
    assert Operation.objects.filter(kind="relay_ping").count() == 2


@pytest.mark.parametrize("age_s", [-60, 200])
def test_a_ping_of_another_time_is_refused(node: LocalAccount, age_s: int) -> None:
    asked(node, "ping", 0, 0)
    at = int(time.time()) - age_s
    with pytest.raises(ReportRefused, match="time"):
        take(node, NetworkPingReport(time=at, signature=signed(Ping(node.address, at), node)))


def test_a_node_may_decline(node: LocalAccount) -> None:
    ask = asked(node, "complete")
    take(
        node,
        NetworkDeclinedReport(stage="complete", number=3, seed=SEED, code="busy", message="no"),
    )
    ask.refresh_from_db()
    assert ask.declined == "busy"
    assert not Operation.objects.exists()


def test_what_is_no_report_of_network_tasks_is_malformed(node: LocalAccount) -> None:
    entry = {"type": "network_ping", "body": '{"time": -1, "signature": "0x"}'}
    assert is_network_report(entry)
    assert not is_network_report({"type": "heartbeat"})
    for body in (entry["body"], "[]", '{"time": 1}'):
        with pytest.raises(Malformed):
            accept(node.address, entry | {"body": body}, timezone.now())
    with pytest.raises(Malformed):
        accept(node.address, {"type": "network_unheard_of"}, timezone.now())
