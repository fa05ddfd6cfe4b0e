"""What the chain's events about phases let the router do at once; the oracle sees to the rest."""

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
    # Whoever has brought the last answer has asked for it, and the oracle asks again.
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
"""What follows an event, once the assignments have followed the chain."""
EVENTS = frozenset(_REACTIONS)


class PhaseNews:
    """Asks for reveals and validations as soon as the chain has ended a phase.

    Tasks that have to be read from the chain first are left to threads: a slow node or content
    holds up nobody else's phase.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "phase-news")

    def react(self, events: Sequence[EventRecord]) -> None:
        """Do what follows from these events."""
        told = _told(events)
        tasks = _open_tasks(told)
        behind = chain_catch_up.behind_among(tasks.values())
        for numbers, task in tasks.items():
            if task.pk in behind:
                self._threads.submit(_follow, task, told[numbers])
            else:
                _react(task, told[numbers])

    def close(self) -> None:
        """Wait for what was begun."""
        self._threads.shutdown()


def _told(events: Sequence[EventRecord]) -> dict[tuple[int, int], list[Reaction]]:
    """The reactions to each task's events, by session and task number, in the events' order."""
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
    except Exception:  # the oracle follows as well
        logger.exception("%s: it does not follow the chain's news", task)
    finally:
        if not connection.in_atomic_block:
            connection.close()


def _react(task: Task, reactions: Sequence[Reaction]) -> None:
    for reaction in reactions:
        try:
            reaction(task)
        except Exception:  # one task must not keep the others waiting
            logger.exception("%s: no reaction to the chain's news", task)


def _open_tasks(numbers: Collection[tuple[int, int]]) -> dict[tuple[int, int], Task]:
    if not numbers:
        return {}
    found = Task.objects.open().filter(numbered(numbers))
    tasks = {(task.session_id, task.task_id): task for task in found}
    return {key: tasks[key] for key in numbers if key in tasks}
