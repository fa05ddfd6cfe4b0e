"""Handles tasks on which nodes died: a node's process ended while it worked on the task.

A node that restarts does not run the job again on which its last process died. It reports the
death, and the router decides (`mining.deadlines`). The cause may be an accident: a power cut, an
operator's kill, or another job on that node. So the task gets a second try, alone on its node. If
the node dies again, the task is refused. Deaths count for the task, whichever nodes died.
"""

import logging
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Sum

from chain.postgres.wakeup import notify
from mining.assignment.leases import deliver_on_commit
from mining.assignment.states import advance
from mining.deadlines import MAX_DEATHS
from mining.models import Assignment, AssignmentStatus
from mining.node.protocol.reports import NODE_DIED
from sessions.models import Task, TaskStatus
from sessions.stages import task_states

_AT_WORK = (AssignmentStatus.LEASED, AssignmentStatus.ACKED)
_DONE = (AssignmentStatus.PRECOMMITTED, AssignmentStatus.REVEALED, AssignmentStatus.JUDGED)

logger = logging.getLogger(__name__)


def deaths_of(task: Task) -> int:
    """Return how many times a node died while it worked on a task."""
    return task.assignments.aggregate(all=Sum("deaths"))["all"] or 0


def is_given_up(task: Task) -> bool:
    """Return whether so many nodes died on a task that it is never leased again."""
    return deaths_of(task) >= MAX_DEATHS


def count(assignment: Assignment, attempt: int) -> None:
    """Count a node's death on an assignment, whose row the caller has locked.

    A death that is counted already changes nothing.

    Args:
        assignment: the assignment.
        attempt: the number of the attempt that the node died on, as the job stated it (from 0).
    """
    was_sent = not assignment.deaths or assignment.alone
    if assignment.status in _DONE or attempt != assignment.deaths or not was_sent:
        return
    assignment.deaths += 1
    assignment.save(update_fields=["deaths"])
    logger.warning("%s: the node died (%d deaths)", assignment, assignment.deaths)
    notify("deadlines")


def try_alone(assignment_id: UUID) -> None:
    """Send a task once more to the miner whose node died on it, now to run alone."""
    with transaction.atomic():
        task, assignment = _locked(assignment_id)
        if assignment.alone or assignment.status not in _AT_WORK or is_given_up(task):
            return
        assignment.alone = True
        assignment.save(update_fields=["alone"])
        deliver_on_commit(task, [assignment])
        logger.warning("%s: the miner tries once more, alone", assignment)


def drop(assignment_id: UUID, now: datetime) -> None:
    """Fail an assignment whose node died too often. The task goes on with its other miners."""
    with transaction.atomic():
        _, assignment = _locked(assignment_id)
        if assignment.status in _AT_WORK:
            _fail(assignment, now)
            notify("miner_free", "deadlines")


def refuse(task: Task, now: datetime) -> None:
    """Fail a task on which nodes died. The amount reserved for it returns to the session."""
    with transaction.atomic():
        task = Task.objects.select_for_update().get(pk=task.pk)
        if TaskStatus(task.status).is_final or not is_given_up(task):
            return
        for assignment in task.assignments.select_for_update().filter(status__in=_AT_WORK):
            if assignment.deaths:
                _fail(assignment, now)
        task_states.mark_failed(
            task,
            NODE_DIED,
            f"nodes stopped while they worked on this task, {deaths_of(task)} times; it is not"
            " tried again, and what was reserved for it returns to the session",
            at=now,
        )
        notify("miner_free")


def _locked(assignment_id: UUID) -> tuple[Task, Assignment]:
    """Lock and return a task and its assignment, the task first as everywhere."""
    task = Task.objects.select_for_update(of=("self",)).get(assignments__pk=assignment_id)
    return task, task.assignments.select_for_update().get(pk=assignment_id)


def _fail(assignment: Assignment, now: datetime) -> None:
    advance(
        assignment,
        AssignmentStatus.FAILED,
        now,
        failure_code=NODE_DIED,
        failure_message="its node stopped while it worked on this",
    )
