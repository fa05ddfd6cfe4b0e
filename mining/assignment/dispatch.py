"""Queued tasks to miners: first come, first served, without delay.

A task that finds a free miner is given to it in the transaction that takes it. The others wait in
line for the dispatcher, which gives out as many at a time as there are free slots.
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from chain import operations
from chain.isolation import Isolation, is_away
from chain.postgres.prepared import Parameter, Prepared
from chain.postgres.wakeup import Listener
from chain.sending import outbox
from mining.assignment.candidates import (
    OnlineMiner,
    lock_slots,
    online_miners,
    suitable,
    try_lock_slots,
    without_slots_of,
)
from mining.assignment.draw import Candidate, choose_miners
from mining.assignment.leases import lease
from mining.loop import keep_doing
from sessions.models import Session, Task, TaskStatus, Uint256Field
from sessions.stages import task_states

LOOK_EVERY_S = 2.0
"""A wake-up may be lost with its connection."""
TASKS_AT_ONCE = 16
"""The most that one transaction gives out."""

logger = logging.getLogger(__name__)


def run(stop: threading.Event, beat: Callable[[], None]) -> None:
    """Dispatch whenever a task, a free miner or a new block may have changed what is possible."""
    with Listener(["task_queued", "miner_free", "chain_events"]) as listener:

        def step() -> None:
            dispatch_all()
            listener.wait(LOOK_EVERY_S)

        keep_doing(step, stop, beat)


def dispatch_all() -> int:
    """Give out every queued task that can be given out now; how many those were."""
    given: list[int] = []
    for number in settings.MODELS:
        look = partial(_dispatch_model, number, given)
        _isolation.attempt(("model", number), f"the queue of model {number}", look)
    return sum(given)


def free_miners(task: Task, session: Session) -> list[str]:
    """The miners that get a new task, which is not written yet; see `sessions.ports.free_miners`.

    None where others are before it, too few miners are free, or another process gives out slots
    just now: intake holds the session's row, so it must not wait for the slot lock.
    """
    model_identifier = int(task.model_identifier)
    if _WAITING.rows(model_identifier=model_identifier) or not try_lock_slots():
        return []
    miners = online_miners(model_identifier, timezone.now())
    chosen = _chosen(task, suitable(task, session.mode, miners)) or []
    return [miner.address for miner in chosen]


def assign(task: Task, miners: Sequence[str], content: bytes) -> operations.Op:
    """Lease a new task to miners; see `sessions.ports.assign`."""
    lease(
        task,
        dict(enumerate(miners)),
        task.assigned_at or timezone.now(),
        live=0,
        content=content,
    )
    _log(task, miners)
    return _assignment(task, miners)


_WAITING = Prepared(
    lambda: Task.objects.filter(
        status=TaskStatus.QUEUED, model_identifier=Parameter("model_identifier", Uint256Field())
    ).values_list("pk")[:1]
)
"""A task in line, if there is one."""


@dataclass
class Round:
    """What one look at the head of a model's queue came to."""

    given: list[Task] = field(default_factory=list)
    hopeless: set[int] = field(default_factory=set)
    """Sessions whose next task no slot that falls free would help."""
    is_last: bool = True
    """Whether nothing more can be given out now."""


def dispatch_some(
    model_identifier: int, set_aside: Collection[int], now: datetime, *, apart: bool = False
) -> Round:
    """Give a model's oldest queued tasks to miners, in one transaction.

    Args:
        set_aside: sessions whose tasks are not looked at.
        apart: whether each task is given by itself, so that one that fails keeps no other waiting.
    """
    with transaction.atomic():
        # Before the tasks: whoever has the slots has the queue, so a session's order holds
        # however many dispatchers there are.
        lock_slots()
        miners = online_miners(model_identifier, now)
        tasks = list(
            Task.objects.queued()
            .filter(model_identifier=model_identifier)
            .exclude(session_id__in=set_aside)
            .select_for_update(skip_locked=True)[:TASKS_AT_ONCE]
        )
        return _give_out(tasks, miners, now, apart=apart)


def draw_seed(task: Task) -> bytes:
    """The seed of the draws for a task: a client that tries many digests cannot steer it."""
    key = hashlib.sha256(settings.SECRET_KEY.encode()).digest()
    return hashlib.blake2b(task.task_digest.encode(), key=key, digest_size=32).digest()


def _dispatch_model(model_identifier: int, given: list[int]) -> None:
    """Give out what can be given out of one model's queue, and note how many tasks each time."""
    set_aside = set[int]()
    waiting = Task.objects.queued().filter(model_identifier=model_identifier)
    # Asked without a lock: mostly there is nothing.
    while waiting.exclude(session_id__in=set_aside).exists():
        try:
            done = dispatch_some(model_identifier, set_aside, timezone.now())
        except Exception as error:
            if is_away(error):
                raise
            logger.warning("one of some tasks cannot be given: each is tried by itself")
            done = dispatch_some(model_identifier, set_aside, timezone.now(), apart=True)
        given.append(len(done.given))
        set_aside |= done.hopeless
        if done.is_last:
            break


def _give_out(
    tasks: Sequence[Task], miners: Sequence[OnlineMiner], now: datetime, *, apart: bool
) -> Round:
    numbers = {task.session_id for task in tasks}
    modes = dict(Session.objects.filter(pk__in=numbers).values_list("session_id", "mode"))
    done = Round(is_last=len(tasks) < TASKS_AT_ONCE)
    for task in tasks:
        if task.session_id in done.hopeless:
            continue
        outcome = _Outcome()
        give = partial(_give, task, modes.get(task.session_id), miners, now, outcome)
        is_tried = True
        if apart or _isolation.times(task.pk):
            is_tried = _isolation.attempt(task.pk, task, transaction.atomic(give), now)
        else:
            give()
        if not is_tried or outcome.is_hopeless:
            # The others must not wait behind it; its session's order holds.
            done.hopeless.add(task.session_id)
        elif not outcome.chosen:
            done.is_last = True
            break
        else:
            done.given.append(task)
            miners = without_slots_of(miners, [miner.address for miner in outcome.chosen])
    return done


@dataclass
class _Outcome:
    """Who has got a task: nobody if too few miners are free, or if it is hopeless."""

    chosen: list[Candidate] = field(default_factory=list)
    is_hopeless: bool = False


def _give(
    task: Task,
    mode: int | None,
    miners: Sequence[OnlineMiner],
    now: datetime,
    outcome: _Outcome,
) -> None:
    candidates = suitable(task, mode, miners)
    if len(candidates) < task.redundancy:
        outcome.is_hopeless = True
        return
    chosen = _chosen(task, candidates) or []
    if chosen:
        _assign(task, chosen, now)
    outcome.chosen = chosen


_isolation = Isolation("dispatch")


def _chosen(task: Task, candidates: Sequence[OnlineMiner]) -> list[Candidate] | None:
    """Who gets a task; None if too few are free."""
    free = [miner.candidate for miner in candidates if miner.is_free]
    if len(free) < task.redundancy:
        return None
    return choose_miners(free, task.redundancy, draw_seed(task))


def _assign(task: Task, miners: list[Candidate], now: datetime) -> None:
    """The task's row is locked."""
    addresses = [miner.address for miner in miners]
    # First, since on commit the jobs go out before anybody is told of it.
    lease(task, dict(enumerate(addresses)), now, live=0)
    task_states.mark_assigned(task, addresses, at=now, is_locked=True)
    outbox.enqueue(_assignment(task, addresses))
    _log(task, addresses)


def _log(task: Task, miners: Sequence[str]) -> None:
    """Log the assignment once it is committed."""
    transaction.on_commit(
        lambda: logger.info("%s: assigned to %s", task, ", ".join(miners)), robust=True
    )


def _assignment(task: Task, miners: Sequence[str]) -> operations.Op:
    return operations.assign_task(task.session_id, task.task_id, miners, int(task.model_identifier))
