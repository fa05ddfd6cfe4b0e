"""A client that only calls the contracts is served, and its result is on chain."""

import json
from dataclasses import dataclass

import pytest
from eth_utils.conversions import to_bytes

from chain.following.sync import Follower
from chain.models import Operation, OperationStatus
from chain.rpc.client import Rpc
from chain.sending.sender import Sender
from sessions.models import OnChainTask, Session, Task, TaskOrigin, TaskStatus
from tests.anvil import CLIENT, ORACLE, ROUTER, Chain, account
from tests.chain.life import Life
from tests.sessions.news import news
from tests.sessions.ports import replace_ports

pytestmark = pytest.mark.django_db(transaction=True)

MINERS = [account(f"miner {number}") for number in range(2)]


def router_address() -> str:
    """This router is the one that the contracts put on every session's list."""
    return str(ROUTER.address).lower()


@dataclass(frozen=True)
class Direct(Life):
    """The life of a task that has the client's own number, and says what the queue's row says."""

    @property
    def task_id(self) -> int:
        return self.number

    @property
    def digest(self) -> bytes:
        task = Task.objects.get(session_id=self.session_id, task_id=self.task_id)
        return to_bytes(hexstr=task.task_digest)


def test_a_task_submitted_on_chain_is_served_and_its_results_are_read_there(chain: Chain) -> None:
    replace_ports(router_address=router_address)
    for miner in MINERS:
        chain.register_miner(miner)
    session_id = chain.open_session(redundancy=2)
    contract = chain.contract("Session").functions
    follower = Follower(Rpc(chain.url), chain.deployment)
    sender = Sender(Rpc(chain.url), chain.deployment, {"router": ROUTER, "oracle": ORACLE})

    def go_on() -> None:
        for _ in range(2):
            sender.tick()
            chain.mine()
        sender.tick()
        while follower.step():
            pass
        news()

    submit = contract.submit(session_id, 0, "two and two", 1, "", [16, 70], [60], "mine")
    chain.transact(CLIENT, submit)
    go_on()
    task = Task.objects.get()
    assert (task.session_id, task.task_id) == (session_id, 0)
    assert (task.origin, task.status) == (TaskOrigin.CHAIN, TaskStatus.QUEUED)
    assert (task.task_data, task.max_tokens, task.temperature_x100) == ("two and two", 16, 70)
    assert task.reserve_wei == Session.objects.get().reserved_wei > 0
    assert contract.getTaskResults(session_id, 0).call() == [[], []]

    life = Direct(chain, session_id, 0)
    life.assign(MINERS)
    for miner in MINERS:
        life.ack(miner)
        life.precommit(miner)
    go_on()
    for miner in MINERS:
        life.commit(miner)
    go_on()
    miners, results = contract.getTaskResults(session_id, 0).call()
    assert miners == [miner.address for miner in MINERS]
    assert [json.loads(result)["result"] for result in results] == [
        f"answer of {miner.address}" for miner in MINERS
    ]
    life.judge(MINERS)
    go_on()
    rows = Operation.objects.values_list("status", "error")
    assert set(rows) == {(OperationStatus.CONFIRMED.value, "")}
    task.refresh_from_db()
    assert (task.status, task.outcome_code) == (TaskStatus.ENDED, "settled")
    assert OnChainTask.objects.get().paid_wei > 0
    assert Session.objects.get().reserved_wei == 0
