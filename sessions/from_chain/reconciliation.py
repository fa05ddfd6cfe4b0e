"""Updates of the queue after events on chain.

`react` handles each event as soon as it is read. `sweep` occasionally compares all open tasks with
the mirror, and so corrects whatever no event has reported.
"""

import logging
from collections.abc import Iterable, Sequence
from functools import partial

from django.db.models import Exists, OuterRef

from chain.isolation import Isolation
from chain.mirror.records import EventRecord
from sessions.from_chain import submissions
from sessions.from_chain.submissions import Numbers
from sessions.models import OnChainTask, Task, TaskOrigin, TaskQuerySet, numbered
from sessions.stages.task_states import mark_ended

SUBMITTED, ENDED = "TaskSubmitted", "TaskEnded"
EVENTS = frozenset({SUBMITTED, ENDED})
"""The names of the events that `react` handles."""

logger = logging.getLogger(__name__)


def react(events: Sequence[EventRecord], isolation: Isolation) -> None:
    """Record the tasks that clients submitted on chain, and end those that the chain has ended."""
    submitted = _numbers(events, SUBMITTED)
    if submitted:
        _drop_superseded(Task.objects.filter(numbered(submitted)))
        submissions.note(submitted)
    ended = _numbers(events, ENDED)
    if ended:
        _end(Task.objects.filter(numbered(ended)), isolation)


def sweep(isolation: Isolation) -> None:
    """Do the same for every open task, independent of events."""
    _drop_superseded(Task.objects.open())
    submissions.note_missed()
    _end(Task.objects.open(), isolation)


def _numbers(events: Iterable[EventRecord], name: str) -> list[Numbers]:
    return [
        (event.args["sessionId"], event.args["taskId"]) for event in events if event.name == name
    ]


def _drop_superseded(tasks: TaskQuerySet) -> None:
    """Delete direct tasks whose number a fork has given to another task.

    A task that is only missing stays, because a fork usually includes it again.
    """
    another = OnChainTask.objects.filter(
        session_id=OuterRef("session_id"), task_id=OuterRef("task_id")
    ).exclude(digest__in=[OuterRef("task_digest"), ""])
    for task in tasks.filter(Exists(another), origin=TaskOrigin.CHAIN):
        logger.warning("%s was undone by a fork, and another one has its number", task)
        task.delete()


def _end(tasks: TaskQuerySet, isolation: Isolation) -> None:
    mirrored = OnChainTask.objects.filter(
        session_id=OuterRef("session_id"), task_id=OuterRef("task_id"), ended_at__isnull=False
    )
    behind = {
        (task.session_id, task.task_id): task for task in tasks.open().filter(Exists(mirrored))
    }
    for on_chain in OnChainTask.objects.filter(numbered(behind), ended_at__isnull=False):
        task = behind.get((on_chain.session_id, on_chain.task_id))
        if task is not None:
            isolation.attempt(("end", task.pk), task, partial(_end_as, task, on_chain))


def _end_as(task: Task, on_chain: OnChainTask) -> None:
    if on_chain.paid_wei > 0:
        mark_ended(task, at=on_chain.ended_at)
        return
    mark_ended(
        task,
        "refunded",
        "no result was paid for; the whole reservation returned to the session",
        at=on_chain.ended_at,
    )
