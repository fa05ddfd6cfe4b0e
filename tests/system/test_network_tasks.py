"""An idle network: its miners do network tasks, and are rewarded for them."""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from web3 import Web3
from web3.contract import Contract

from chain.deployed.contracts import Deployment, connect, handle
from cortensor_site.stack.network import Network, running_network
from tests.free_ports import free_ports
from tests.money import assert_every_reward_is_accounted_for
from tests.system.conftest import BLOCK_TIME_S, HONEST

EPOCH_S = 60
ENDED = 6
T = TypeVar("T")


@pytest.fixture(scope="module")
def idle() -> Iterator[Network]:
    """Three miners, and no clients."""
    with tempfile.TemporaryDirectory(prefix="cortensor-idle-") as folder:
        # PostgreSQL runs as another user when we are root.
        Path(folder).chmod(0o755)
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("NETWORK_TASK_EVERY_S", "5")
            environment.setenv("NETWORK_EPOCH_S", str(EPOCH_S))
            with running_network(
                Path(folder), free_ports(), [HONEST] * 3, print, {}, block_time_s=BLOCK_TIME_S
            ) as network:
                yield network


class Watched:
    """The contracts of a network, as anybody sees them."""

    def __init__(self, network: Network) -> None:
        self.w3: Web3 = connect(network.rpc_url)
        deployment = Deployment.load(network.deployment_file)
        self._contracts = {
            name: handle(self.w3, deployment, name)
            for name in ("Cognitive", "NetworkRewards", "CortensorToken", "NodeReputation")
        }
        self.network = network

    def __getattr__(self, name: str) -> Contract:
        return self._contracts[name]

    def let_an_epoch_pass(self) -> None:
        """The chain's clock runs ahead of ours, which nobody has to wait for."""
        for method, *params in (("evm_increaseTime", EPOCH_S), ("evm_mine",)):
            answer = self.w3.provider.make_request(method, params)  # type: ignore[arg-type]
            assert "error" not in answer, answer

    def points_earned(self) -> list[Any]:
        """What was credited to nodes, the latest last."""
        return [
            log["args"] for log in self.NetworkRewards.events.PointsEarned().get_logs(from_block=0)
        ]

    def wait(self, what: str, seconds: float, look: Callable[[], T | None]) -> T:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = look()
            if found:
                return found
            time.sleep(0.5)
        words = self.network.supervisor.last_words
        raise AssertionError(f"{what}: not within {seconds} s\n{words('network_tasks', 4000)}")


def test_an_idle_network_plays_a_whole_round_and_pays_for_it(idle: Network) -> None:
    watched = Watched(idle)
    cognitive, rewards = watched.Cognitive.functions, watched.NetworkRewards.functions

    def judged() -> dict[str, Any] | None:
        if cognitive.sessionCounter().call() == 0:
            return None
        shown = cognitive.get(1).call()
        return shown if shown[9] == ENDED else None

    task: Any = watched.wait("a judged network task", 120, judged)
    miners, completions, validators = task[8], task[17], task[19]
    assert sorted(miners) == sorted(miner.address for miner in idle.miners)
    assert len(validators) == 1
    assert cognitive.getAccuracies(1).call() == [10_000] * 3
    assert len(set(completions)) == 1

    credited = watched.points_earned()
    points = {earned["node"]: 0 for earned in credited}
    for earned in credited:
        points[earned["node"]] += earned["points"]
    assert all(points[miner] >= 10_000 for miner in miners)
    assert all(watched.NodeReputation.functions.pointsOf(miner).call() > 0 for miner in miners)

    # The first epoch's budget was fixed before there was one; the next one's is paid when it ends.
    first = credited[0]["epoch"]
    watched.let_an_epoch_pass()
    watched.wait("another task", 120, lambda: watched.points_earned()[-1]["epoch"] > first)
    watched.let_an_epoch_pass()

    def paid() -> Any:
        logs = watched.NetworkRewards.events.RewardPaid().get_logs(from_block=0)
        return [log["args"] for log in logs if log["args"]["amount"]]

    payments = watched.wait("a reward", 60, paid)
    for payment in payments:
        assert payment["node"] in miners
        balance = watched.CortensorToken.functions.balanceOf(payment["node"]).call()
        assert balance >= payment["amount"]
    assert rewards.totalPaid().call() > 0
    assert_every_reward_is_accounted_for(watched.NetworkRewards, watched.CortensorToken)
