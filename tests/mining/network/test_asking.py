"""Which nodes are asked for what, and when a network task is due."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from chain.models import Operation
from mining.assignment import mailbox
from mining.enrolment.redis_users import enrol
from mining.models import (
    Assignment,
    AssignmentStatus,
    MinerPresence,
    NetworkAsk,
    NetworkCredit,
    NetworkEpoch,
    NetworkNode,
    NodeState,
)
from mining.network.asking import (
    ASK_AGAIN_S,
    KEPT_S,
    PING_AGAIN_S,
    PING_EVERY_S,
    ask,
    ask_for_pings,
    forget_old,
)
from mining.network.idleness import MIN_NODES, idle_nodes, is_idle, last_begun
from mining.network.payouts import pay_out
from mining.node.network.job import NetworkJob, Stage
from sessions.models import TaskStatus
from tests.mining.conftest import later, make_account, make_miner, make_task

pytestmark = pytest.mark.django_db
CONTRACT = "0x" + "c0" * 20


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, NetworkJob]]:
    """Collects the jobs that would be sent to mailboxes."""
    messages: list[tuple[str, NetworkJob]] = []
    monkeypatch.setattr(mailbox, "send_network_job", lambda *message: messages.append(message))
    monkeypatch.setattr("django.db.transaction.on_commit", lambda function, *_, **__: function())
    return messages


def job(number: int = 1) -> NetworkJob:
    return NetworkJob(
        stage=Stage.COMPLETE, chain_id=1, contract=CONTRACT, number=number, seed=9, deadline_at=1e10
    )


def there(miner: str, ago_s: float = 0) -> str:
    at = timezone.now() - timedelta(seconds=ago_s)
    NetworkNode.objects.create(address=miner, pinged_at=at)
    return miner


def test_a_node_is_asked_again_only_after_a_while(sent: list[Any]) -> None:
    miner, now = make_miner(), timezone.now()
    for seconds in (0, 1, ASK_AGAIN_S - 1):
        ask(miner, job(), now + timedelta(seconds=seconds))
    assert sent == [(miner, job())]
    MinerPresence.objects.update(last_seen_at=now + timedelta(seconds=ASK_AGAIN_S))
    ask(miner, job(), now + timedelta(seconds=ASK_AGAIN_S))
    ask(miner, job(2), now)
    assert len(sent) == 3


def test_nodes_that_are_not_online_here_are_not_asked(sent: list[Any]) -> None:
    now = timezone.now()
    ask(make_miner(seen_ago_s=60), job(), now)
    ask(make_account().address, job(), now)
    assert sent == []
    assert not NetworkAsk.objects.exists()


def test_pings_are_asked_of_who_is_online_and_has_not_pinged_lately(sent: list[Any]) -> None:
    there(make_miner(), ago_s=10)
    silent = {there(make_miner(), ago_s=PING_EVERY_S + 1), make_miner()}
    make_miner(seen_ago_s=60)
    make_miner(state=NodeState.UNKNOWN)
    make_miner(draining=True)
    make_miner(canonical=False)
    for _ in range(2):
        ask_for_pings(1, CONTRACT, timezone.now())
    assert {miner for miner, _ in sent} == silent
    assert len(sent) == 2
    assert all(message.stage == Stage.PING for _, message in sent)


def test_who_does_not_answer_is_asked_for_a_ping_less_often(sent: list[Any]) -> None:
    answering, mute, now = make_miner(), make_miner(), timezone.now()
    ask_for_pings(1, CONTRACT, now)
    NetworkAsk.objects.filter(node=answering).update(answered_at=now)
    MinerPresence.objects.update(last_seen_at=now + timedelta(seconds=PING_EVERY_S))
    for seconds, asked in ((PING_AGAIN_S + 1, {answering}), (PING_EVERY_S + 1, {answering, mute})):
        sent.clear()
        ask_for_pings(1, CONTRACT, now + timedelta(seconds=seconds))
        assert {miner for miner, _ in sent} == asked
        NetworkAsk.objects.filter(node=answering).update(answered_at=now + timedelta(seconds=200))


def test_what_was_asked_long_ago_is_forgotten_but_for_pings(sent: list[Any]) -> None:
    ask(make_miner(), job(), timezone.now())
    NetworkAsk.objects.create(node=CONTRACT, stage=Stage.PING, number=0, seed=0)
    forget_old(timezone.now())
    assert NetworkAsk.objects.count() == 2
    forget_old(timezone.now() + timedelta(seconds=KEPT_S + 1))
    assert [row.stage for row in NetworkAsk.objects.all()] == [Stage.PING]


def test_a_task_is_due_only_while_nobody_waits_and_enough_nodes_do_nothing() -> None:
    miners = [there(make_miner()) for _ in range(MIN_NODES)]
    there(make_miner(), ago_s=900)
    there(make_miner(draining=True))
    make_miner()
    assert (idle_nodes(timezone.now()), is_idle(timezone.now())) == (MIN_NODES, True)

    task = make_task(status=TaskStatus.QUEUED)
    assert not is_idle(timezone.now())
    task.status = TaskStatus.ASSIGNED
    task.save()
    assert is_idle(timezone.now())
    Assignment.objects.create(
        task=task,
        miner=miners[0],
        position=0,
        status=AssignmentStatus.ACKED,
        ack_deadline_at=later(10),
        lease_deadline_at=later(30),
    )
    assert (idle_nodes(timezone.now()), is_idle(timezone.now())) == (MIN_NODES - 1, False)


def test_the_latest_request_sets_the_pace() -> None:
    assert last_begun() is None
    Operation.objects.create(kind="request_network_task", key="request_network_task:1", payload={})
    begun = last_begun()
    assert begun is not None
    assert timezone.now() - begun < timedelta(seconds=10)


def test_claims_are_made_for_ones_own_nodes_of_epochs_that_are_over(
    router_redis: Any,
) -> None:
    mine, foreign = make_account().address, make_account().address
    enrol(mine)
    for number, budget_wei in ((5, 10), (6, 0), (7, 10), (8, 10)):
        NetworkEpoch.objects.create(number=number, budget_wei=budget_wei, points=4)
        for node in (mine, foreign):
            NetworkCredit.objects.create(epoch=number, node=node.lower(), points=2)
    NetworkCredit.objects.filter(epoch=5).update(paid_at=timezone.now())
    assert pay_out(current_epoch=8) == 1
    assert pay_out(current_epoch=8) == 1
    operation = Operation.objects.get()
    assert operation.payload == {"node": mine, "epoch": 7}
