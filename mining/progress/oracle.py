"""The oracle: takes the steps that are due for each task, and sleeps until the next deadline.

The oracle examines only tasks that have changed and tasks for which a step is due. Triggers in the
database notify it of changes (`task_changed`). Each step of each task is isolated, so that its
failure does not stop the others.
"""

import logging
import threading
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial

from django.utils import timezone

from chain.isolation import Isolation, is_away
from chain.postgres.wakeup import Listener
from mining.deadlines import Action, Step, agenda, due
from mining.loop import beside, keep_doing
from mining.progress import steps
from mining.progress.agenda import Agenda
from mining.progress.router_lag import ALL, Heard, is_held, read_heard
from mining.progress.snapshot import Case, read_cases, unfinished
from sessions.models import Task, numbered
from sessions.webhooks.outbox import hand_over_due

CHANNEL = "task_changed"
"""The channel of the triggers in `mining/migrations/0005_task_changed.py`.

The text of a notification is a task's key, its session and task numbers ("3/12"), or empty for all
tasks.
"""
LOOK_EVERY_S = 5.0
"""The longest sleep, since wake-ups are lost when a connection breaks."""
LIST_EVERY_S = 60.0
"""How often the open tasks are listed, which finds tasks whose notification was lost."""
LOOK_AGAIN_S = 60.0
"""How often every open task is examined, even without a notification."""
LOOKS_A_SECOND = 200
"""The most such examinations in a second. With very many tasks each waits longer than
LOOK_AGAIN_S."""
AT_ONCE = 250
"""The most tasks whose rows are read together."""
MOST_A_SWEEP = 1_000
"""The most tasks that one sweep examines. After a sweep, the process reports that it is alive."""
GATHER_S = 0.25
"""How long notifications are collected: under load each task sends several."""
BESIDE_EVERY_S = 2.0
"""How often a thread of its own handles due webhooks."""

logger = logging.getLogger(__name__)


def run(stop: threading.Event, beat: Callable[[], None]) -> None:
    """Take due steps and sleep in turn until `stop` is set."""
    oracle = Oracle(read_heard)
    with ExitStack() as stack:
        listener = stack.enter_context(Listener([CHANNEL]))
        # The message broker may be slow, and deadlines must not wait for it.
        for name, work in _BESIDE.items():
            look = partial(_now, work)
            stack.enter_context(beside(name, look, BESIDE_EVERY_S, stop))
        changed: set[str] | None = None

        def step() -> None:
            nonlocal changed
            upcoming = oracle.sweep(timezone.now(), changed)
            changed = set()
            changed = listener.wait_for_words(_pause_s(upcoming, timezone.now()))
            if changed is None or changed:
                # No notification is urgent: collect more of them before the next sweep.
                stop.wait(GATHER_S)

        keep_doing(step, stop, beat)


class Oracle:
    """Examines tasks when they are due, and takes their steps.

    Args:
        hear: returns how far the router has read miners' reports and the chain's events.
    """

    def __init__(self, hear: Callable[[], Heard] = lambda: ALL) -> None:
        self._hear = hear
        self._heard: Heard | None = None
        self._agenda = Agenda()
        self._isolation = Isolation("oracle")
        self._listed_at: datetime | None = None

    def sweep(self, now: datetime, changed: Collection[str] | None = None) -> datetime | None:
        """Take the steps that are due. Return when the next task is due, or None.

        One sweep examines at most MOST_A_SWEEP tasks.

        Args:
            now: the time.
            changed: the texts of notifications on CHANNEL, or None if some may have been lost.
        """
        if changed is None or "" in changed:
            self._agenda.plan_all(now)
            self._listed_at = None
        elif changed:
            for key in _keys_of(changed):
                self._agenda.plan(key, now)
        if self._listed_at is None or now - self._listed_at >= timedelta(seconds=LIST_EVERY_S):
            for key in unfinished():
                if key not in self._agenda:
                    self._agenda.plan(key, now)
            self._listed_at = now
        self._heard = None
        keys = self._agenda.due(now, MOST_A_SWEEP)
        for start in range(0, len(keys), AT_ONCE):
            self._look(keys[start : start + AT_ONCE], now)
        return self._agenda.next_at

    def _look(self, keys: Collection[int], now: datetime) -> None:
        try:
            cases = read_cases(keys)
        except Exception as error:
            if is_away(error):
                raise
            self._look_one_by_one(keys, error, now)
            return
        self._agenda.drop(set(keys) - {case.task.pk for case in cases})
        for case in cases:
            key = case.task.pk
            self._isolation.attempt(key, case.task, partial(self._do, case, now), now)
            again_at = self._isolation.again_at(key)
            if again_at is not None:
                self._agenda.plan(key, again_at)

    def _look_one_by_one(self, keys: Collection[int], error: Exception, now: datetime) -> None:
        """Examine tasks one by one after `read_cases` failed for all of them together."""
        if len(keys) > 1:
            for key in keys:
                self._look([key], now)
            return
        [key] = keys

        def fail() -> None:
            raise error

        self._isolation.attempt(key, f"task with key {key}", fail, now)
        self._agenda.plan(key, self._isolation.again_at(key) or now + _AGAIN)

    def _do(self, case: Case, now: datetime) -> None:
        """Take the steps that are due for one task, and plan its next examination."""
        key = case.task.pk
        upcoming: list[datetime] = []
        for assignment in case.leftover:
            upcoming += self._try(
                (key, "release", assignment.pk),
                assignment,
                partial(steps.release, assignment, now),
                now,
                None,
            )
        if case.is_over:
            if upcoming:
                self._agenda.plan(key, min(upcoming))
            else:
                self._agenda.drop([key])
            return
        situation = case.situation
        for action in due(situation, now):
            if is_held(action, case.task.created_at, self._hears(), now):
                logger.info("%s: %s; missed reports are read first", case.task, action.step.value)
                upcoming.append(now + _AGAIN)
                continue
            upcoming += self._try(
                (key, action.step, action.assignment_id, action.miner),
                f"{case.task}: {action.step.name}",
                partial(_act, case, action, now),
                now,
                _AGAIN_AFTER.get(action.step, _AGAIN),
            )
        upcoming += [action.at for action in agenda(situation) if action.at > now]
        upcoming.append(now + self._look_again())
        self._agenda.plan(key, min(upcoming))

    def _try(
        self,
        key: object,
        item: object,
        work: Callable[[], object],
        now: datetime,
        again: timedelta | None,
    ) -> Iterable[datetime]:
        """Attempt a step, isolated from others. Return when to try again, as at most one time."""
        if self._isolation.attempt(key, item, work, now):
            return [] if again is None else [now + again]
        return [self._isolation.again_at(key) or now + _AGAIN]

    def _hears(self) -> Heard:
        """Return how far the router has read. It is looked up at most once in a sweep."""
        if self._heard is None:
            self._heard = self._hear()
        return self._heard

    def _look_again(self) -> timedelta:
        return timedelta(seconds=max(LOOK_AGAIN_S, len(self._agenda) / LOOKS_A_SECOND))


_AGAIN = timedelta(seconds=1)
"""The pause before a step is tried again, as when no miner was free."""
_AGAIN_AFTER = dict.fromkeys(
    (Step.END_PRECOMMIT, Step.END_COMMIT, Step.END_TASK), timedelta(seconds=5)
)
"""The pause after steps that put an operation into the outbox.

They are repeated only because the chain may refuse the operation.
"""
_BESIDE: dict[str, Callable[[datetime], object]] = {"webhooks": hand_over_due}


def _now(work: Callable[[datetime], object]) -> None:
    work(timezone.now())


def _act(case: Case, action: Action, now: datetime) -> None:
    logger.info("%s: %s", case.task, action.step.value)
    steps.STEPS[action.step](case, action, now)


def _keys_of(changed: Collection[str]) -> set[int]:
    """Return the keys of the tasks that notifications name.

    The text "7" is a task's key, and "3/12" has its session and task numbers.
    """
    keys, numbers = set[int](), set[tuple[int, int]]()
    for word in changed:
        session_id, _, task_id = word.rpartition("/")
        if session_id:
            numbers.add((int(session_id), int(task_id)))
        else:
            keys.add(int(task_id))
    if numbers:
        keys.update(Task.objects.filter(numbered(numbers)).order_by().values_list("pk", flat=True))
    return keys


def _pause_s(upcoming: datetime | None, now: datetime) -> float:
    if upcoming is None:
        return LOOK_EVERY_S
    return min(max((upcoming - now).total_seconds(), 0.0), LOOK_EVERY_S)
