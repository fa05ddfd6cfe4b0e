"""Dispatches queued tasks to miners, first come, first served.

If a miner is free when intake accepts a task, intake's transaction also assigns the task. All other
tasks wait in the queue for the dispatcher, which assigns as many as there are free slots.
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
"""The queue is also read without a wake-up, since wake-ups are lost when a connection breaks."""
TASKS_AT_ONCE = 16
"""The most tasks that one transaction assigns."""

logger = logging.getLogger(__name__)


def run(stop: threading.Event, beat: Callable[[], None]) -> None:
    """Dispatch whenever there may be a new task, a free miner or a new block."""
    with Listener(["task_queued", "miner_free", "chain_events"]) as listener:

        def step() -> None:
            dispatch_all()
            listener.wait(LOOK_EVERY_S)

        keep_doing(step, stop, beat)


def dispatch_all() -> int:
    """Assign every queued task that can be assigned now. Return the number of assigned tasks."""
    given: list[int] = []
    for number in settings.MODELS:
        look = partial(_dispatch_model, number, given)
        _isolation.attempt(("model", number), f"the queue of model {number}", look)
    return sum(given)


def free_miners(task: Task, session: Session) -> list[str]:
    """Draw the miners of a new task, which is not stored yet; see `sessions.ports.free_miners`.

    Return an empty list if other tasks wait for the same model, if too few miners are free, or if
    another transaction holds the slot lock. The function does not wait for that lock, because
    intake has locked the session's row.
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
"""Selects one waiting task, if there is one."""


@dataclass
class Round:
    """The result of one transaction that assigns tasks from the head of a model's queue."""

    given: list[Task] = field(default_factory=list)
    """The tasks that were assigned."""
    hopeless: set[int] = field(default_factory=set)
    """Sessions whose next task cannot be assigned, even if slots become free."""
    is_last: bool = True
    """Whether no more tasks can be assigned now."""


def dispatch_some(
    model_identifier: int, set_aside: Collection[int], now: datetime, *, apart: bool = False
) -> Round:
    """Assign a model's oldest queued tasks to miners, in one transaction.

    Args:
        model_identifier: the model.
        set_aside: sessions whose tasks are skipped.
        now: the time of the assignments.
        apart: whether each task has a savepoint, so that a task that fails does not stop the
            others.
    """
    with transaction.atomic():
        # Lock the slots before the tasks: only one dispatcher then reads the queue at a time,
        # which keeps the order of a session's tasks.
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
    """Return the seed of the draws for a task, 32 bytes.

    The seed is a keyed hash of the task's digest, so a client cannot choose its miners by trying
    many digests.
    """
    key = hashlib.sha256(settings.SECRET_KEY.encode()).digest()
    return hashlib.blake2b(task.task_digest.encode(), key=key, digest_size=32).digest()


def _dispatch_model(model_identifier: int, given: list[int]) -> None:
    """Assign the tasks of one model's queue. Append the number of each round's tasks to `given`."""
    set_aside = set[int]()
    waiting = Task.objects.queued().filter(model_identifier=model_identifier)
    # The queue is usually empty, so this query runs before the slots are locked.
    while waiting.exclude(session_id__in=set_aside).exists():
        try:
            done = dispatch_some(model_identifier, set_aside, timezone.now())
        except Exception as error:
            if is_away(error):
                raise
            logger.warning("one of several tasks cannot be assigned: each is tried by itself")
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
            # Other sessions must not wait for this task. Later tasks of its own session do wait,
            # which keeps their order.
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
    """The result of an attempt to assign one task."""

    chosen: list[Candidate] = field(default_factory=list)
    """The task's miners; empty if too few were free."""
    is_hopeless: bool = False
    """Whether too few miners suit the task, free or not."""


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
    """Draw a task's miners, or return None if too few are free."""
    free = [miner.candidate for miner in candidates if miner.is_free]
    if len(free) < task.redundancy:
        return None
    return choose_miners(free, task.redundancy, draw_seed(task))


def _assign(task: Task, miners: list[Candidate], now: datetime) -> None:
    """Assign a queued task, whose row the caller has locked."""
    addresses = [miner.address for miner in miners]
    # Callbacks run on commit in this order: the jobs are sent before the stage is announced.
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
