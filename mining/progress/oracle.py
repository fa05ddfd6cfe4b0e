"""Keeping every task moving: it sleeps until the next deadline, or until something has happened.

It looks only at tasks that have changed, as triggers of the database tell (`task_changed`), or that
have something due. Every task is tried by itself, and every step of it: what fails stops no other.
"""

import logging
import threading
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial

from django.utils import timezone

from chain.isolation import Isolation, is_away
from chain.postgres.wakeup import Listener
from mining.deadlines import Action, Step, agenda, due
from mining.loop import beside, keep_doing
from mining.progress import steps
from mining.progress.agenda import Agenda
from mining.progress.router_lag import heard_until, is_held
from mining.progress.snapshot import Case, read_cases, unfinished
from sessions.models import Task, numbered
from sessions.webhooks.outbox import hand_over_due

CHANNEL = "task_changed"
"""Of `mining/migrations/0005_task_changed.py`: a task's key, its numbers, or nothing for all."""
LOOK_EVERY_S = 5.0
"""A wake-up may be lost with its connection."""
LIST_EVERY_S = 60.0
"""How often the open tasks are listed: one that no notice has told of is found then."""
LOOK_AGAIN_S = 60.0
"""Every open task is looked at this often, whatever was said or missed of it, …"""
LOOKS_A_SECOND = 200
"""… or, where there are very many, as often as makes so many looks a second."""
AT_ONCE = 250
"""The most tasks whose rows are read together."""
MOST_A_SWEEP = 1_000
"""The most tasks that are looked at before the process tells again that it is alive."""
GATHER_S = 0.25
"""Under load each task wakes the oracle a few times."""
BESIDE_EVERY_S = 2.0
"""How often webhooks are looked at, in a thread of their own."""

ALL_HEARD = datetime.max.replace(tzinfo=UTC)

logger = logging.getLogger(__name__)


def run(stop: threading.Event, beat: Callable[[], None]) -> None:
    """Do what is due, sleep, and so on."""
    oracle = Oracle(heard_until)
    with ExitStack() as stack:
        listener = stack.enter_context(Listener([CHANNEL]))
        # A broker may be slow, and no deadline waits for it.
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
                # What wakes it is never urgent, and comes while a miner begins.
                stop.wait(GATHER_S)

        keep_doing(step, stop, beat)


class Oracle:
    """Knows when to look at which task, and does what is due.

    Args:
        heard_until: up to when miners' reports and the chain's news were read.
    """

    def __init__(self, heard_until: Callable[[], datetime] = lambda: ALL_HEARD) -> None:
        self._heard_until = heard_until
        self._heard: datetime | None = None
        self._agenda = Agenda()
        self._isolation = Isolation("oracle")
        self._listed_at: datetime | None = None

    def sweep(self, now: datetime, changed: Collection[str] | None = None) -> datetime | None:
        """Do all that is due, and return when the next thing will be.

        Args:
            changed: what notices of `task_changed` said; None if any may have been missed.
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
        """Find out which of some tasks has rows that cannot be read."""
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
        """All that is due for one task; then plan the next look at it."""
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
            if is_held(action, self._hears(), now):
                logger.info("%s: %s; what was missed is read first", case.task, action.step.value)
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
        """Do one thing of a task; when it is to be tried again."""
        if self._isolation.attempt(key, item, work, now):
            return [] if again is None else [now + again]
        return [self._isolation.again_at(key) or now + _AGAIN]

    def _hears(self) -> datetime:
        """Asked once a sweep, and only where something is due."""
        if self._heard is None:
            self._heard = self._heard_until()
        return self._heard

    def _look_again(self) -> timedelta:
        return timedelta(seconds=max(LOOK_AGAIN_S, len(self._agenda) / LOOKS_A_SECOND))


_AGAIN = timedelta(seconds=1)
"""What is due and could not be done (no miner is free, say) is tried again after this long."""
_AGAIN_AFTER = dict.fromkeys(
    (Step.END_PRECOMMIT, Step.END_COMMIT, Step.END_TASK), timedelta(seconds=5)
)
"""What the sender has to do is written down once; again only in case the chain has refused it."""
_BESIDE: dict[str, Callable[[datetime], object]] = {"webhooks": hand_over_due}


def _now(work: Callable[[datetime], object]) -> None:
    work(timezone.now())


def _act(case: Case, action: Action, now: datetime) -> None:
    logger.info("%s: %s", case.task, action.step.value)
    steps.STEPS[action.step](case, action, now)


def _keys_of(changed: Collection[str]) -> set[int]:
    """The tasks that notices tell of: "7" by its key, "3/12" by its session and task numbers."""
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
