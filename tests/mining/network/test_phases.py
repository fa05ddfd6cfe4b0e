"""This network completes a network task of several phases, planned by another implementation."""

from typing import Any

import pytest
from eth_account import Account

from mining.models import NetworkJudgement, NetworkTask
from tests.chain.mirror_rows import mirror, rebuilt_mirror
from tests.mining.network.conftest import IdleNetwork
from tests.money import assert_every_reward_is_accounted_for

pytestmark = pytest.mark.django_db(transaction=True)

INSTRUCTION = "What is the capital of Italy?"
QUORUM, PRECOMMIT_S = 3, 60


def test_the_second_phase_asks_about_what_was_accepted_in_the_first(
    idle_network: IdleNetwork,
) -> None:
    network = idle_network
    _create_phased(network)
    for node in network.nodes:
        node.deaf = False

    def ended() -> NetworkTask | None:
        return NetworkTask.objects.filter(number=1, ended_at__isnull=False).first()

    task = network.play_until(ended)
    first, second = NetworkJudgement.objects.filter(number=1).order_by("judged_at")
    assert first.seed != second.seed
    [accepted] = set(first.completions.values())
    assert second.prompt.startswith(INSTRUCTION)
    assert second.prompt.count(accepted) == len(first.completions) == len(network.nodes)
    assert task.accuracies_bps == [10_000] * len(task.completers)
    assert set(second.completions) == set(task.completers)

    rewards = network.chain.contract("NetworkRewards")
    assert mirror() == rebuilt_mirror()
    assert_every_reward_is_accounted_for(rewards, network.chain.contract("CortensorToken"))


def _create_phased(network: IdleNetwork) -> None:
    def asked() -> Any:
        number = network.cognitive.requestCounter().call()
        if not number:
            return None
        request = network.cognitive.getRequest(number).call()
        turn, creators = request[1], request[7]
        # Nobody may have been there for long enough when it was made.
        return creators[turn] if turn < len(creators) else None

    def on_roll() -> bool:
        return bool(network.cognitive.rollLength().call() == len(network.nodes))

    network.play_until(on_roll)
    for node in network.nodes:
        node.deaf = True
    creator = network.by_address[network.play_until(asked)]
    network.chain.rpc("anvil_setBalance", creator.address, hex(10**18))
    phases = [(INSTRUCTION, QUORUM, PRECOMMIT_S)]
    call = network.cognitive.createPhased("Language", "capitals", phases, b"")
    network.chain.transact(Account.from_key(creator.wallet._account.key), call)
    assert network.cognitive.sessionCounter().call() == 1
