"""The oracle acts when deadlines have passed."""

import time
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from chain.mirror import projections
from chain.models import Fault, Operation
from chain.postgres.wakeup import Listener
from mining.assignment.dispatch import dispatch_all
from mining.deadlines import (
    COMMIT_WINDOW_S,
    ONLINE_S,
    REACT_WITHIN_S,
    VERDICT_WINDOW_S,
    Step,
)
from mining.models import AssignmentStatus, MinerPresence, MinerResult, Validation
from mining.node.protocol.names import mailbox_prefix
from mining.progress import steps
from mining.progress.oracle import CHANNEL, LIST_EVERY_S, Oracle
from sessions.models import OnChainStatus, Task, TaskStatus
from sessions.stages.task_states import mark_ended
from tests.mining.conftest import later, make_miner, make_session, make_task, mirror

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("router_redis")]


def sweep(now):
    """What an oracle does that has just started: it looks at every task."""
    return Oracle().sweep(now)


def dispatched(redundancy=3, spare=0):
    for _ in range(redundancy + spare):
        make_miner()
    task = make_task(make_session(redundancy=redundancy))
    assert dispatch_all() == 1
    mirror(task, OnChainStatus.ASSIGNED, assigned_at=timezone.now())
    return task


def keep_alive(seconds):
    """Let every miner be heard of `seconds` from now."""
    MinerPresence.objects.update(last_seen_at=later(seconds))


def parts(task):
    return list(task.assignments.order_by("position", "leased_at"))


def kinds():
    return sorted(Operation.objects.values_list("kind", flat=True))


def test_a_task_that_nobody_was_free_for_fails_with_a_reason(router_redis):
    router_redis.set("health:dispatch", repr(time.time()))
    task = make_task()
    sweep(later(59))
    task.refresh_from_db()
    assert task.status == TaskStatus.QUEUED
    sweep(later(61))
    task.refresh_from_db()
    assert (task.status, task.outcome_code) == (TaskStatus.FAILED, "no_miner_available")
    assert kinds() == []
    mirror(task, OnChainStatus.QUEUED)
    sweep(later(62))
    assert kinds() == ["end_task"]


def test_a_task_that_waited_for_a_dispatcher_that_was_away_fails_with_that_reason():
    task = make_task()
    sweep(later(61))
    task.refresh_from_db()
    assert (task.status, task.outcome_code) == (TaskStatus.FAILED, "dispatcher_away")
    assert "no miner" not in task.outcome_message


def test_who_does_not_ack_is_replaced_by_a_free_miner():
    task = dispatched(spare=1)
    late = parts(task)[1]
    task.assignments.exclude(pk=late.pk).update(
        status=AssignmentStatus.ACKED, acked_at=timezone.now()
    )
    keep_alive(12)
    sweep(later(10))
    assert task.assignments.count() == 3
    sweep(later(12))
    late.refresh_from_db()
    assert late.status == AssignmentStatus.REPLACED
    replacement = task.assignments.in_place().get(position=1)
    assert replacement.miner != late.miner
    assert replacement.announced_at is None
    operation = Operation.objects.get(kind="replace_miner")
    assert late.miner in str(operation.payload).lower()
    sweep(later(13))  # its own deadline counts from the chain's word, which is not there yet
    assert task.assignments.count() == 4


def test_a_late_miner_stays_while_nobody_is_free():
    task = dispatched()
    keep_alive(15)
    sweep(later(15))
    assert {part.status for part in parts(task)} == {AssignmentStatus.LEASED}
    make_miner()
    keep_alive(16)
    sweep(later(16))
    assert task.assignments.filter(status=AssignmentStatus.REPLACED).count() == 1


def test_the_replaced_live_miners_successor_is_listened_to():
    task = dispatched(redundancy=1, spare=1)
    keep_alive(12)
    sweep(later(12))
    late, replacement = parts(task)
    assert late.status == AssignmentStatus.REPLACED
    assert replacement.announced_at is not None


def test_when_the_live_miner_dies_the_client_listens_to_one_that_works(router_redis):
    task = dispatched()
    task.assignments.update(status=AssignmentStatus.ACKED, acked_at=timezone.now())
    Task.objects.update(status=TaskStatus.ACKED)
    live = parts(task)[0]
    keep_alive(ONLINE_S + 1)
    MinerPresence.objects.filter(pk=live.miner).update(last_seen_at=timezone.now())
    sweep(later(ONLINE_S + 1))
    announced = [part for part in parts(task) if part.announced_at]
    assert len(announced) == 2
    assert announced[0] == live


def test_with_one_of_three_killed_and_no_spare_the_task_goes_on_with_two():
    task = dispatched()
    first, second, killed = parts(task)
    for part in (first, second):
        part.status, part.precommit_at = AssignmentStatus.PRECOMMITTED, timezone.now()
        part.save()
    mirror(task, OnChainStatus.ASSIGNED, assigned_at=timezone.now())
    sweep(later(40))
    assert "end_precommit" not in kinds()
    sweep(later(62))
    assert "end_precommit" in kinds()
    mirror(
        task,
        OnChainStatus.PRECOMMITTED,
        assigned_at=timezone.now(),
        precommit_ended_at=timezone.now(),
    )
    sweep(later(63))
    task.refresh_from_db()
    assert task.status == TaskStatus.PRECOMMITTED
    asked = [part.miner for part in parts(task) if part.reveal_asked_at]
    assert asked == [first.miner, second.miner]
    task.assignments.filter(pk__in=[first.pk, second.pk]).update(status=AssignmentStatus.REVEALED)
    sweep(later(64))
    task.refresh_from_db()
    assert task.status == TaskStatus.COMMITTED
    assert Validation.objects.filter(task=task).exists()
    mark_ended(task)
    sweep(later(70))
    killed.refresh_from_db()
    assert (killed.status, killed.failure_code) == (AssignmentStatus.FAILED, "task_over")


def test_a_reveal_is_asked_for_once_in_a_while(router_redis):
    task = dispatched(redundancy=1)
    task.assignments.update(status=AssignmentStatus.PRECOMMITTED, precommit_at=timezone.now())
    mirror(
        task,
        OnChainStatus.PRECOMMITTED,
        assigned_at=timezone.now(),
        precommit_ended_at=timezone.now(),
    )
    key = mailbox_prefix(parts(task)[0].miner) + "control"
    sweep(later(REACT_WITHIN_S - 1))
    assert router_redis.llen(key) == 0, "who hears of the chain's news does it first"
    sweep(later(REACT_WITHIN_S))
    sweep(later(REACT_WITHIN_S + 1))
    assert router_redis.llen(key) == 1
    task.assignments.update(reveal_asked_at=timezone.now() - timedelta(seconds=6))
    sweep(later(0))
    assert router_redis.llen(key) == 2


def test_each_stuck_stage_is_forced_on_once():
    task = dispatched(redundancy=1)
    now = timezone.now()
    for _ in range(2):
        sweep(later(62))
    mirror(task, OnChainStatus.PRECOMMITTED, assigned_at=now, precommit_ended_at=now)
    for _ in range(2):
        sweep(later(COMMIT_WINDOW_S + 2))
    mirror(task, OnChainStatus.COMMITTED, precommit_ended_at=now, commit_ended_at=now)
    for _ in range(2):
        sweep(later(VERDICT_WINDOW_S + 2))
    assert kinds() == ["assign_task", "end_commit", "end_precommit", "end_task"]


def test_the_miners_of_a_task_that_is_over_are_told_to_stop(router_redis):
    task = dispatched(redundancy=1)
    (part,) = parts(task)
    mark_ended(task, "refunded")
    sweep(later(0))
    part.refresh_from_db()
    assert part.status == AssignmentStatus.FAILED
    assert router_redis.llen(mailbox_prefix(part.miner) + "control") == 1


def test_it_sleeps_until_the_next_deadline():
    task = dispatched()
    result = MinerResult.objects.filter(task_id=task.task_id).first()
    assert sweep(timezone.now()) == result.assigned_at + timedelta(seconds=11)
    task.delete()
    assert sweep(timezone.now()) is None


def test_one_poisoned_task_keeps_no_other_waiting(monkeypatch):
    poisoned, healthy = make_task(), make_task()
    give_up = steps.STEPS[Step.GIVE_UP]

    def poison(case, action, now):
        if case.task.pk == poisoned.pk:
            raise ZeroDivisionError
        give_up(case, action, now)

    monkeypatch.setitem(steps.STEPS, Step.GIVE_UP, poison)
    oracle = Oracle()
    oracle.sweep(later(61))
    healthy.refresh_from_db()
    assert healthy.status == TaskStatus.FAILED
    fault = Fault.objects.get()
    assert (fault.process, fault.error, fault.count) == ("oracle", "ZeroDivisionError", 1)
    assert str(poisoned) in fault.item
    # It is tried again, ever less often, and is forgotten once it works.
    oracle.sweep(later(61.5))
    assert Fault.objects.get().count == 1
    oracle.sweep(later(63))
    assert Fault.objects.get().count == 2
    monkeypatch.undo()
    oracle.sweep(later(70))
    poisoned.refresh_from_db()
    assert poisoned.status == TaskStatus.FAILED
    assert not Fault.objects.exists()


def test_rows_that_cannot_be_understood_stop_only_their_own_task():
    poisoned, healthy = make_task(), make_task()
    Task.objects.filter(pk=poisoned.pk).update(status="nonsense")
    Oracle().sweep(later(61))
    healthy.refresh_from_db()
    assert healthy.status == TaskStatus.FAILED
    assert Fault.objects.get().error == "ValueError"


def test_a_failing_release_stops_neither_other_releases_nor_tasks(monkeypatch):
    task, other = dispatched(redundancy=2), make_task()
    mark_ended(task, "refunded")
    [first, second] = parts(task)

    def poison(assignment):
        if assignment.pk == first.pk:
            raise ZeroDivisionError

    monkeypatch.setattr("mining.assignment.mailbox.cancel_on_commit", poison)
    Oracle().sweep(later(61))
    for row in (first, second, other):
        row.refresh_from_db()
    assert (first.status, second.status) == (AssignmentStatus.LEASED, AssignmentStatus.FAILED)
    assert other.status == TaskStatus.FAILED


def test_what_has_not_changed_and_is_not_due_is_not_read(django_assert_num_queries):
    oracle, now = Oracle(), timezone.now()
    for _ in range(5):
        make_task()
    oracle.sweep(now)
    with django_assert_num_queries(0):
        oracle.sweep(now + timedelta(seconds=1), changed=set())


@pytest.mark.parametrize("count", [2, 12])
def test_a_change_of_one_task_costs_the_same_however_many_there_are(
    count, django_assert_num_queries
):
    tasks = [make_task() for _ in range(count)]
    oracle, now = Oracle(), timezone.now()
    oracle.sweep(now)
    with django_assert_num_queries(5):
        oracle.sweep(now + timedelta(seconds=1), {str(tasks[0].pk)})


def told_by(change):
    with Listener([CHANNEL]) as listener:
        change()
        return listener.wait_for_words(5)


def test_the_database_tells_of_each_change_that_matters():
    task = make_task(make_session(redundancy=1))
    key, numbers = str(task.pk), f"{task.session_id}/{task.task_id}"
    make_miner()
    assert told_by(dispatch_all) == {key}
    [part] = parts(task)
    assert told_by(lambda: mirror(task, OnChainStatus.ASSIGNED)) == {numbers}
    part.acked_at = timezone.now()
    assert told_by(lambda: part.save(update_fields=["acked_at"])) == {key}
    assert told_by(lambda: mark_ended(task)) == {key}


def test_a_rebuilt_mirror_is_one_notice_for_all():
    task = make_task()

    def rebuild():
        with transaction.atomic():
            projections.rebuild([])
            mirror(task, OnChainStatus.QUEUED)
            mirror(task, OnChainStatus.ASSIGNED)

    assert told_by(rebuild) == {""}


def test_a_task_of_which_no_notice_told_is_found():
    oracle, now = Oracle(), timezone.now()
    oracle.sweep(now)
    task = make_task(timeout_s=5)
    oracle.sweep(now + timedelta(seconds=LIST_EVERY_S), changed=set())
    task.refresh_from_db()
    assert task.status == TaskStatus.FAILED


def test_a_notice_of_nobodys_task_does_no_harm():
    assert Oracle().sweep(timezone.now(), {"7", "3/12"}) is None
