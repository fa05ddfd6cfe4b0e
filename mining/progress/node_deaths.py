"""What follows when nodes died while they worked on a task.

A node that starts again does not run what its last process died with. It says so, and the router
decides (`mining.deadlines`). The death may be an accident: a power cut, an operator's
kill, or another job of that node. So a task is tried once more, with a node to itself, and refused
when that goes wrong as well. Deaths count for the task, whichever miners had them.
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
    """How often a node died with a task."""
    return task.assignments.aggregate(all=Sum("deaths"))["all"] or 0


def is_given_up(task: Task) -> bool:
    """Whether a task has cost so many nodes that it is never given out again."""
    return deaths_of(task) >= MAX_DEATHS


def count(assignment: Assignment, attempt: int) -> None:
    """Take in that a node died with a locked assignment; a death that is known changes nothing.

    Args:
        attempt: which one, by the job's own count.
    """
    was_sent = not assignment.deaths or assignment.alone
    if assignment.status in _DONE or attempt != assignment.deaths or not was_sent:
        return
    assignment.deaths += 1
    assignment.save(update_fields=["deaths"])
    logger.warning("%s: the node died with it (%d)", assignment, assignment.deaths)
    notify("deadlines")


def try_alone(assignment_id: UUID) -> None:
    """Give a task back to the miner whose node died with it, now with the node to itself."""
    with transaction.atomic():
        task, assignment = _locked(assignment_id)
        if assignment.alone or assignment.status not in _AT_WORK or is_given_up(task):
            return
        assignment.alone = True
        assignment.save(update_fields=["alone"])
        deliver_on_commit(task, [assignment])
        logger.warning("%s: it is tried once more, alone", assignment)


def drop(assignment_id: UUID, now: datetime) -> None:
    """Give up a place whose node died too often; the task goes on with the others."""
    with transaction.atomic():
        _, assignment = _locked(assignment_id)
        if assignment.status in _AT_WORK:
            _fail(assignment, now)
            notify("miner_free", "deadlines")


def refuse(task: Task, now: datetime) -> None:
    """End a task that nodes died with; what was reserved for it returns to the session."""
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
    """The assignment and its task, the task locked first as everywhere."""
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
