"""Tasks on which nodes died: what is counted, retried and refused."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from mining.assignment import mailbox
from mining.assignment.candidates import online_miners
from mining.assignment.dispatch import dispatch_all
from mining.models import Assignment, AssignmentStatus, MinerPresence
from mining.node.protocol.job import Job
from mining.node.protocol.reports import NODE_DIED, FailedReport
from mining.progress import node_deaths
from mining.progress.oracle import Oracle
from mining.reports.effects import accept
from sessions.models import OnChainStatus, Task, TaskStatus
from tests.mining.conftest import MODEL, later, make_miner, make_session, make_task, mirror

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("router_redis")]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Job]]:
    """The jobs that went out."""
    jobs: list[tuple[str, Job]] = []
    monkeypatch.setattr(mailbox, "send_infer", lambda address, job: jobs.append((address, job)))
    return jobs


def sweep(now: datetime) -> None:
    Oracle().sweep(now)


def dispatched(redundancy: int = 1, spare: int = 0) -> tuple[Task, list[Assignment]]:
    for _ in range(redundancy + spare):
        make_miner()
    task = make_task(make_session(redundancy=redundancy))
    assert dispatch_all() == 1
    mirror(task, OnChainStatus.ASSIGNED, assigned_at=timezone.now())
    return task, list(task.assignments.order_by("position"))


def dies(assignment: Assignment, attempt: int = 0) -> None:
    report = FailedReport(
        assignment_id=str(assignment.id), code=NODE_DIED, message="it died", attempt=attempt
    )
    accept(assignment.miner, report, timezone.now())


def precommits(assignment: Assignment) -> None:
    Assignment.objects.filter(pk=assignment.pk).update(
        status=AssignmentStatus.PRECOMMITTED, precommit_at=timezone.now()
    )


def outcome(task: Task) -> tuple[str, str]:
    task.refresh_from_db()
    return task.status, task.outcome_code


REFUSED = (TaskStatus.FAILED, NODE_DIED)


def test_a_task_is_tried_once_more_with_the_node_to_itself_and_then_refused(sent: Any) -> None:
    task, [one] = dispatched()
    assert [(job.attempt, job.alone) for _, job in sent] == [(0, False)]
    dies(one)
    sweep(timezone.now())
    sweep(timezone.now())
    assert [(job.attempt, job.alone) for _, job in sent] == [(0, False), (1, True)]
    assert sent[1][1].assignment_id == sent[0][1].assignment_id
    assert outcome(task) == (TaskStatus.ASSIGNED, "")
    dies(one, attempt=1)
    sweep(timezone.now())
    assert outcome(task) == REFUSED
    assert "2 times" in task.outcome_message
    assert len(sent) == 2
    one.refresh_from_db()
    assert (one.status, one.failure_code) == (AssignmentStatus.FAILED, NODE_DIED)


def test_a_death_that_is_told_twice_counts_once(sent: Any) -> None:
    task, [one] = dispatched()
    for _ in range(3):
        dies(one)
    dies(one, attempt=1)  # it was not sent a second time yet
    sweep(timezone.now())
    dies(one)
    sweep(timezone.now())
    assert node_deaths.deaths_of(task) == 1
    assert not outcome(task)[1]


def test_three_miners_that_die_at_once_are_three_and_none_gets_it_again(sent: Any) -> None:
    task, three = dispatched(redundancy=3)
    for number, assignment in enumerate(three):
        dies(assignment)
        sweep(timezone.now())
        assert (outcome(task) == REFUSED) is (number >= 1)
    assert len(sent) == 3
    assert node_deaths.deaths_of(task) == 3


def test_while_others_work_on_it_nobody_tries_again(sent: Any) -> None:
    _, [one, two, three] = dispatched(redundancy=3)
    dies(one)
    sweep(timezone.now())
    assert len(sent) == 3
    precommits(two)
    precommits(three)
    sweep(timezone.now())
    assert sent[3][0] == one.miner
    assert sent[3][1].alone


def test_one_miner_alone_cannot_have_a_task_refused_that_others_work_on(sent: Any) -> None:
    task, [one, two, three] = dispatched(redundancy=3)
    Assignment.objects.filter(pk=one.pk).update(deaths=1, alone=True)
    dies(one, attempt=1)
    sweep(timezone.now())
    assert not outcome(task)[1]
    one.refresh_from_db()
    assert one.status == AssignmentStatus.FAILED
    precommits(two)
    precommits(three)
    sweep(timezone.now())
    assert not outcome(task)[1]


def test_what_others_have_done_is_not_lost_to_a_nodes_deaths(sent: Any) -> None:
    task, [one, two] = dispatched(redundancy=2)
    precommits(two)
    dies(one)
    sweep(timezone.now())
    dies(one, attempt=1)
    sweep(timezone.now())
    assert not outcome(task)[1]
    one.refresh_from_db()
    assert (one.status, one.failure_code) == (AssignmentStatus.FAILED, NODE_DIED)


def test_a_miner_with_a_task_to_itself_is_full(sent: Any) -> None:
    dispatched()
    [miner] = online_miners(MODEL, timezone.now())
    assert (miner.free_slots, miner.is_idle) == (1, False)
    Assignment.objects.update(alone=True)
    [miner] = online_miners(MODEL, timezone.now())
    assert not miner.is_free


def test_who_takes_the_place_of_a_dead_node_runs_the_task_alone_and_only_if_idle(sent: Any) -> None:
    task, [one] = dispatched(spare=1)
    dies(one)
    sweep(timezone.now())
    MinerPresence.objects.update(last_seen_at=later(40))
    spare = MinerPresence.objects.exclude(address=one.miner).get()
    other = make_task(make_session(redundancy=1))
    busy = Assignment.objects.create(
        task=other,
        miner=spare.address,
        position=0,
        ack_deadline_at=later(9),
        lease_deadline_at=later(9),
    )
    sweep(timezone.now() + timedelta(seconds=32))
    assert len(sent) == 2, "the spare miner has another task"
    busy.delete()
    sweep(timezone.now() + timedelta(seconds=33))
    assert sent[2][0] == spare.address
    assert (sent[2][1].attempt, sent[2][1].alone) == (0, True)
    replacement = task.assignments.get(miner=spare.address)
    dies(replacement)
    sweep(timezone.now())
    assert outcome(task) == REFUSED


def test_a_node_that_comes_back_late_is_counted_though_it_was_replaced(sent: Any) -> None:
    task, [one] = dispatched(spare=1)
    MinerPresence.objects.update(last_seen_at=later(40))
    sweep(timezone.now() + timedelta(seconds=12))
    one.refresh_from_db()
    assert one.status == AssignmentStatus.REPLACED
    dies(one)
    assert node_deaths.deaths_of(task) == 1


def test_a_task_that_is_given_up_gets_no_miner_any_more(sent: Any) -> None:
    task, [one, *_] = dispatched(redundancy=3, spare=2)
    Assignment.objects.filter(pk=one.pk).update(deaths=1, alone=True)
    dies(one, attempt=1)
    MinerPresence.objects.update(last_seen_at=later(40))
    for seconds in (1, 12, 32, 40):
        sweep(timezone.now() + timedelta(seconds=seconds))
    assert task.assignments.count() == 3
