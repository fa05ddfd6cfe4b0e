"""Nodes that are gone leave the roll from which creators, preparers and completers are drawn."""

from datetime import timedelta

import pytest
from django.utils import timezone

from chain import network_operations as operations
from chain.models import Operation
from chain.operations import OperationKind
from chain.protocol.messages import SigningDomain, sign
from chain.protocol.network_messages import Ping
from chain.sending import outbox
from mining.models import NetworkNode
from mining.network.pruning import AT_ONCE, GONE_S, prune_gone
from tests.mining.conftest import make_account
from tests.mining.network.conftest import IdleNetwork

pytestmark = pytest.mark.django_db(transaction=True)


def pinged(ago_s: float, *, pruned: bool = False) -> str:
    now = timezone.now()
    return NetworkNode.objects.create(
        address=make_account().address,
        pinged_at=now - timedelta(seconds=ago_s),
        pruned_at=now if pruned else None,
    ).address


def asked_to_go() -> set[str]:
    rows = Operation.objects.filter(kind=OperationKind.PRUNE_NODE)
    return {row.payload["node"].lower() for row in rows}


def test_only_who_has_been_gone_for_long_enough_is_pruned_and_once() -> None:
    gone = pinged(GONE_S + 1)
    pinged(GONE_S - 5)
    pinged(GONE_S + 1, pruned=True)
    for _ in range(2):
        assert prune_gone(timezone.now()) == 1
    assert asked_to_go() == {gone.lower()}
    assert Operation.objects.count() == 1


def test_the_longest_gone_go_first_and_not_all_at_once() -> None:
    nodes = [pinged(GONE_S + 1 + n) for n in range(AT_ONCE + 1)]
    assert prune_gone(timezone.now()) == AT_ONCE
    assert asked_to_go() == {node.lower() for node in nodes[1:]}


def test_on_chain_they_leave_the_roll_and_who_is_there_stays(idle_network: IdleNetwork) -> None:
    network, chain = idle_network, idle_network.chain

    def ping(nodes: list[int]) -> None:
        domain = SigningDomain(chain.w3.eth.chain_id, chain.deployment.addresses["Cognitive"])
        for node in (network.nodes[number] for number in nodes):
            message = Ping(node.address, chain.w3.eth.get_block("latest")["timestamp"])
            signature = sign(message, domain, bytes(node.wallet._account.key))
            outbox.enqueue(operations.relay_ping(message, signature))
        be_mined()

    def be_mined() -> None:
        network.sender.tick()
        chain.mine()
        network.sender.tick()
        while network.follower.step():
            pass

    ping([0, 1, 2, 3])
    assert network.cognitive.rollLength().call() == 4
    chain.rpc("evm_increaseTime", int(GONE_S) + 60)
    chain.mine()
    ping([3])
    later = timezone.now() + timedelta(seconds=GONE_S + 30)
    assert prune_gone(later) == 3
    be_mined()
    assert network.cognitive.getRoll(0, 10).call() == [network.nodes[3].address]
    assert NetworkNode.objects.filter(pruned_at__isnull=True).count() == 1
    assert prune_gone(later) == 0
