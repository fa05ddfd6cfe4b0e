"""The `react` process follows the chain's events with a cursor of its own."""

import threading

import pytest
from django.db import transaction
from django.utils import timezone

from chain.following import news
from chain.mirror import blocks
from chain.models import Block, Event, NewsCursor, Operation, OperationStatus
from chain.postgres.wakeup import notify
from mining.progress import phase_events, reactions, reveal_and_judge
from mining.progress.reactions import READER, Reactions
from sessions.from_chain import reconciliation
from sessions.models import OnChainStatus, Task, TaskStatus
from tests.mining.conftest import make_miner, make_session, make_task, mirror
from tests.mining.progress.test_oracle import dispatched
from tests.mining.test_loops import running, wait_until

__all__ = ["running"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("router_redis")]


def happened(task, name, number=1, contract="SessionQueue"):
    """Store a block with this event of a task, as sync does."""
    made = Block.objects.create(
        number=number, hash=f"0x{number}", parent_hash=f"0x{number - 1}", timestamp=timezone.now()
    )
    Event.objects.create(
        block=made,
        block_hash=made.hash,
        log_index=0,
        tx_hash="0x00",
        contract=contract,
        name=name,
        args={"sessionId": task.session_id, "taskId": task.task_id},
        timestamp=made.timestamp,
    )


def react():
    """One look, and all that it began."""
    look = Reactions()
    look.step()
    look.close()


def test_the_process_wakes_for_the_chains_news(running, monkeypatch):
    monkeypatch.setattr(reactions, "LOOK_EVERY_S", 5)
    task = make_task()
    news.subscribe(READER)
    running(reactions.run)
    with transaction.atomic():
        mirror(task, OnChainStatus.ENDED, ended_at=timezone.now())
        happened(task, "TaskEnded")
        notify(blocks.CHANNEL)
    wait_until(lambda: Task.objects.get(pk=task.pk).status == TaskStatus.ENDED, 2.5)


def test_the_process_wakes_for_a_refusal(running, monkeypatch):
    monkeypatch.setattr(reactions, "LOOK_EVERY_S", 5)
    task = make_task()
    running(reactions.run)
    with transaction.atomic():
        Operation.objects.create(
            kind="submit_task",
            key="x",
            payload={"session_id": task.session_id, "task_id": task.task_id},
            status=OperationStatus.FAILED,
            failure_told=False,
        )
        notify("operations")
    wait_until(lambda: Task.objects.get(pk=task.pk).status == TaskStatus.FAILED, 2.5)


def test_what_happens_while_it_is_away_is_not_missed(monkeypatch):
    task = make_task()
    react()
    mirror(task, OnChainStatus.ENDED, ended_at=timezone.now())
    happened(task, "TaskEnded")
    monkeypatch.setattr(reconciliation, "sweep", lambda _: None)  # the events alone tell of it
    react()
    task.refresh_from_db()
    assert task.status == TaskStatus.ENDED


def test_who_dies_in_a_reaction_reacts_again(monkeypatch):
    task = make_task()
    news.subscribe(READER)
    mirror(task, OnChainStatus.ENDED, ended_at=timezone.now())
    happened(task, "TaskEnded")
    monkeypatch.setattr(reconciliation, "sweep", lambda _: None)

    def die(*_):
        raise SystemExit

    with monkeypatch.context() as dying:
        dying.setattr(reconciliation, "react", die)
        with pytest.raises(SystemExit):
            react()
    assert NewsCursor.objects.get().block == -1
    react()
    assert Task.objects.get(pk=task.pk).status == TaskStatus.ENDED


def test_what_no_event_told_of_the_sweep_finds():
    task = make_task()
    mirror(task, OnChainStatus.ENDED, ended_at=timezone.now())
    react()
    task.refresh_from_db()
    assert task.status == TaskStatus.ENDED


def test_a_task_that_has_to_be_read_from_the_chain_holds_up_no_other(monkeypatch):
    slow, quick = (make_task() for _ in range(2))
    asked, go_on = [], threading.Event()
    monkeypatch.setattr(phase_events.chain_catch_up, "behind_among", lambda _: {slow.pk: []})
    monkeypatch.setattr(phase_events.chain_catch_up, "follow", lambda _: go_on.wait(10))
    monkeypatch.setitem(
        phase_events._REACTIONS, "TaskAllPrecommitted", lambda task: asked.append(task.pk)
    )
    news.subscribe(READER)
    happened(slow, "TaskAllPrecommitted", 1)
    happened(quick, "TaskAllPrecommitted", 2)
    look = Reactions()
    look.step()
    assert asked == [quick.pk]
    go_on.set()
    look.close()
    assert asked == [quick.pk, slow.pk]


def test_one_task_without_a_reaction_does_not_stop_the_others(monkeypatch):
    bad, good = (make_task() for _ in range(2))
    asked = []

    def ask(task):
        if task.pk == bad.pk:
            raise RuntimeError("a bug")
        asked.append(task.pk)

    monkeypatch.setitem(phase_events._REACTIONS, "TaskAllCommitted", ask)
    news.subscribe(READER)
    happened(bad, "TaskAllCommitted", 1)
    happened(good, "TaskAllCommitted", 2)
    react()
    assert asked == [good.pk]


def test_a_phase_that_the_chain_has_ended_is_followed_by_reveals():
    task = dispatched(redundancy=1)
    [part] = task.assignments.all()
    part.status, part.precommit_at = "precommitted", timezone.now()
    part.save()
    mirror(task, OnChainStatus.PRECOMMITTED, precommit_ended_at=timezone.now())
    news.subscribe(READER)
    happened(task, "TaskAllPrecommitted")
    react()
    part.refresh_from_db()
    assert part.reveal_asked_at is not None
    assert reveal_and_judge.awaited(task).get() == part


def test_a_part_that_fails_holds_up_no_other(monkeypatch):
    task = make_task()
    mirror(task, OnChainStatus.ENDED, ended_at=timezone.now())

    def fail(_):
        raise ZeroDivisionError

    news.subscribe(READER)
    happened(task, "TaskEnded")
    monkeypatch.setattr(reconciliation, "sweep", fail)
    react()
    assert Task.objects.get(pk=task.pk).status == TaskStatus.ENDED


def test_each_look_costs_the_same_whatever_the_history(django_assert_max_num_queries):
    session = make_session()
    for _ in range(30):
        task = make_task(session)
        mirror(task, OnChainStatus.ENDED, ended_at=timezone.now())
        Task.objects.filter(pk=task.pk).update(status=TaskStatus.ENDED)
    make_miner()
    look = Reactions()
    look.step()
    with django_assert_max_num_queries(8):
        look.step()
    look.close()
