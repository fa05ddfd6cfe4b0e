"""Whole network tasks with a real chain, mailboxes, model and validator, one step at a time."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from mining.models import (
    NetworkAsk,
    NetworkCredit,
    NetworkEpoch,
    NetworkJudgement,
    NetworkNode,
    NetworkPart,
    NetworkRole,
    NetworkTask,
    NetworkTaskState,
)
from mining.network.asking import ASK_AGAIN_S
from tests.chain.mirror_rows import mirror, rebuilt_mirror
from tests.mining.network.conftest import EPOCH_S, IdleNetwork
from tests.money import assert_every_reward_is_accounted_for

pytestmark = pytest.mark.django_db(transaction=True)


def ended(network: IdleNetwork, number: int = 1) -> Any:
    def look() -> NetworkTask | None:
        return NetworkTask.objects.filter(number=number, ended_at__isnull=False).first()

    return look


def test_idle_nodes_play_a_round_and_are_paid(idle_network: IdleNetwork) -> None:
    network = idle_network
    task = network.play_until(ended(network))
    addresses = {node.address.lower() for node in network.nodes}
    assert task.state == NetworkTaskState.ENDED
    assert set(task.completers) == addresses
    assert task.accuracies_bps == [10_000] * len(addresses)
    assert task.verdict_tx

    judgement = NetworkJudgement.objects.get(number=1)
    assert judgement.method == "majority"
    assert len(set(judgement.completions.values())) == 1
    parts = NetworkPart.objects.filter(number=1)
    assert parts.filter(role=NetworkRole.COMPLETER, revealed_at__isnull=False).count() == 4
    assert parts.filter(role=NetworkRole.PREPARER, done_at__isnull=False).exists()
    assert not NetworkNode.objects.exclude(right_answers=1, wrong_answers=0).exists()

    rewards = network.chain.contract("NetworkRewards")
    points = {c.node: c.points for c in NetworkCredit.objects.all()}
    assert set(points) == addresses
    for node, earned in points.items():
        credit = NetworkCredit.objects.get(node=node)
        checksummed = network.chain.w3.to_checksum_address(node)
        assert rewards.functions.pointsOf(credit.epoch, checksummed).call() == earned
    assert mirror() == rebuilt_mirror()
    assert_every_reward_is_accounted_for(rewards, network.chain.contract("CortensorToken"))


def test_an_epoch_with_a_budget_pays_who_earned_points(idle_network: IdleNetwork) -> None:
    network = idle_network
    # The first epoch has no budget: it was fixed before the pool had any funds.
    network.chain.rpc("evm_increaseTime", EPOCH_S)
    network.chain.mine()
    network.play_until(ended(network))
    epoch = NetworkEpoch.objects.get(points__gt=0)
    assert epoch.budget_wei > 0
    network.chain.rpc("evm_increaseTime", EPOCH_S)
    network.chain.mine()
    network.restarted()

    def paid() -> bool:
        earned = NetworkCredit.objects.filter(epoch=epoch.number)
        return not earned.filter(paid_at__isnull=True).exists()

    network.play_until(paid)
    token = network.chain.contract("CortensorToken").functions
    for credit in NetworkCredit.objects.filter(epoch=epoch.number):
        assert credit.paid_wei == epoch.budget_wei * credit.points // epoch.points
        owner = network.chain.w3.to_checksum_address(credit.node)
        assert token.balanceOf(owner).call() >= credit.paid_wei
    assert_every_reward_is_accounted_for(
        network.chain.contract("NetworkRewards"), network.chain.contract("CortensorToken")
    )


def test_a_round_goes_on_whenever_the_process_is_killed(idle_network: IdleNetwork) -> None:
    network = idle_network
    task = network.play_until(lambda: network.restarted() and ended(network)())
    assert task.accuracies_bps == [10_000] * 4
    assert network.cognitive.sessionCounter().call() == 1


def test_a_silent_creator_and_a_busy_completer_do_not_stop_a_round(
    idle_network: IdleNetwork,
) -> None:
    network = idle_network

    def creators() -> Any:
        number = network.cognitive.requestCounter().call()
        return number and network.cognitive.getRequest(number).call()[7]

    first = network.play_until(creators)[0]
    silent = network.by_address[first]
    silent.deaf = True
    network.play_until(lambda: network.cognitive.getRequest(1).call()[1] == 0)
    # The message is lost with the node. The network waits only until the contract's deadline.
    network.chain.rpc("evm_increaseTime", 61)
    network.play_until(lambda: network.cognitive.sessionCounter().call() == 1)
    silent.deaf = False
    busy = next(node for node in network.nodes if node is not silent)
    busy.busy = True
    asked = NetworkAsk.objects.filter(node=busy.address.lower(), stage="complete")
    network.play_until(lambda: asked.filter(declined="busy").exists())
    busy.busy = False
    # The pause before the next request has passed.
    asked.update(asked_at=F("asked_at") - timedelta(seconds=ASK_AGAIN_S))
    task = network.play_until(ended(network))
    assert task.creator != first.lower()
    assert NetworkNode.objects.get(pk=first.lower()).missed_parts == 1
    assert busy.address.lower() in task.completers
    assert task.accuracies_bps == [10_000] * 4
