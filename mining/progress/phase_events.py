"""Reacts at once to the chain's events about a task's phases.

The oracle repeats reactions that failed.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

from django.db import connection

from chain.mirror.records import EventRecord
from mining.progress import chain_catch_up, reveal_and_judge
from sessions.models import Task, TaskStatus, numbered

THREADS = 4

logger = logging.getLogger(__name__)

Reaction = Callable[[Task], object]


def _ask_validation(task: Task) -> None:
    # In any later stage the report of the last reveal has asked already. The oracle asks again.
    if task.status in _BEFORE_COMMITTED:
        reveal_and_judge.ask_validation(task)


_BEFORE_COMMITTED = (TaskStatus.ASSIGNED, TaskStatus.ACKED, TaskStatus.PRECOMMITTED)
_REACTIONS: dict[str, Reaction | None] = {
    "TaskMinerReplaced": None,
    "TaskAllPrecommitted": reveal_and_judge.ask_reveals,
    "TaskPrecommitEnded": reveal_and_judge.ask_reveals,
    "TaskAllCommitted": _ask_validation,
    "TaskCommitEnded": _ask_validation,
}
"""The reaction to each event, which comes after the assignments have been updated."""
EVENTS = frozenset(_REACTIONS)


class PhaseNews:
    """Asks for reveals and validations as soon as the chain has ended a phase.

    Threads handle tasks that have to be read from the chain first, so that a slow RPC node or
    content store does not delay other tasks.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "phase-news")

    def react(self, events: Sequence[EventRecord]) -> None:
        """React to events."""
        told = _told(events)
        tasks = _open_tasks(told)
        behind = chain_catch_up.behind_among(tasks.values())
        for numbers, task in tasks.items():
            if task.pk in behind:
                self._threads.submit(_follow, task, told[numbers])
            else:
                _react(task, told[numbers])

    def close(self) -> None:
        """Wait until the threads are done."""
        self._threads.shutdown()


def _told(events: Sequence[EventRecord]) -> dict[tuple[int, int], list[Reaction]]:
    """Return each task's reactions in the events' order, by session and task number."""
    told = defaultdict[tuple[int, int], list[Reaction]](list)
    for event in events:
        if event.contract == "SessionQueue" and event.name in EVENTS:
            reactions = told[event.args["sessionId"], event.args["taskId"]]
            reaction = _REACTIONS[event.name]
            if reaction is not None and reaction not in reactions:
                reactions.append(reaction)
    return told


def _follow(task: Task, reactions: Sequence[Reaction]) -> None:
    try:
        chain_catch_up.follow(task)
        task.refresh_from_db()
        _react(task, reactions)
    except Exception:  # the oracle repeats it
        logger.exception("%s: its assignments could not be updated from the chain", task)
    finally:
        if not connection.in_atomic_block:
            connection.close()


def _react(task: Task, reactions: Sequence[Reaction]) -> None:
    for reaction in reactions:
        try:
            reaction(task)
        except Exception:  # the other tasks go on, and the oracle repeats this one
            logger.exception("%s: the reaction to the chain's event failed", task)


def _open_tasks(numbers: Collection[tuple[int, int]]) -> dict[tuple[int, int], Task]:
    if not numbers:
        return {}
    found = Task.objects.open().filter(numbered(numbers))
    tasks = {(task.session_id, task.task_id): task for task in found}
    return {key: tasks[key] for key in numbers if key in tasks}
