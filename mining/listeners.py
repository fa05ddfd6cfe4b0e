"""What mining does at once when the chain or a client has news; the oracle sees to the rest."""

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any

from django.dispatch import receiver

from chain.projections import EventRecord
from chain.signals import events_stored
from mining import following, mailbox, phases
from mining.errors import MailboxUnavailable
from mining.models import AssignmentStatus
from sessions.departures import task_shortened
from sessions.models import Task, TaskStatus, numbered

logger = logging.getLogger(__name__)


@receiver(task_shortened, dispatch_uid="mining.shorten")
def shorten(task: Task, **_: Any) -> None:
    """Tell the miners that still work on a task where its answer may end."""
    assert task.enough_characters is not None
    working = (AssignmentStatus.LEASED, AssignmentStatus.ACKED)
    for assignment in task.assignments.in_place().filter(status__in=working):
        try:
            mailbox.send_shorten(assignment.miner, str(assignment.id), task.enough_characters)
        except MailboxUnavailable:
            # It goes on, and is paid for no more than the others.
            logger.warning("%s: its miner could not be told", assignment, exc_info=True)


def _ask_validation(task: Task) -> None:
    # Whoever has brought the last answer has asked for it, and the oracle asks again.
    if task.status in _BEFORE_COMMITTED:
        phases.ask_validation(task)


_BEFORE_COMMITTED = (TaskStatus.ASSIGNED, TaskStatus.ACKED, TaskStatus.PRECOMMITTED)
_REACTIONS: dict[str, Callable[[Task], object] | None] = {
    "TaskMinerReplaced": None,
    "TaskAllPrecommitted": phases.ask_reveals,
    "TaskPrecommitEnded": phases.ask_reveals,
    "TaskAllCommitted": _ask_validation,
    "TaskCommitEnded": _ask_validation,
}
"""What follows an event, once the assignments have followed the chain."""


@receiver(events_stored, dispatch_uid="mining.move_on")
def move_on(events: Sequence[EventRecord], **_: Any) -> None:
    """Ask for reveals and validations as soon as the chain has ended a phase."""
    told = [
        (_REACTIONS[event.name], (event.args["sessionId"], event.args["taskId"]))
        for event in events
        if event.contract == "SessionQueue" and event.name in _REACTIONS
    ]
    tasks = _open_tasks({numbers for _, numbers in told})
    behind = following.behind_among(tasks.values())
    for reaction, numbers in told:
        task = tasks.get(numbers)
        if task is None:
            continue
        try:
            if task.pk in behind:
                following.follow(task)
            if reaction is not None:
                reaction(task)
        except Exception:  # one task must not stop the chain's sync
            logger.exception("%s: no reaction to the chain's news", task)


def _open_tasks(numbers: Collection[tuple[int, int]]) -> dict[tuple[int, int], Task]:
    if not numbers:
        return {}
    found = Task.objects.open().filter(numbered(numbers))
    return {(task.session_id, task.task_id): task for task in found}
