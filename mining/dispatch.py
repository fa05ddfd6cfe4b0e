"""Queued tasks to miners: first come, first served, one transaction a task, without delay."""

import enum
import hashlib
import logging
import threading
from collections.abc import Callable, Collection
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from chain import operations, outbox
from chain.wakeup import Listener
from mining.candidates import lock_miners, suitable
from mining.choice import Candidate, choose_miners
from mining.leases import lease
from mining.loop import keep_doing
from sessions import task_states
from sessions.models import Task

LOOK_EVERY_S = 2.0
"""A wake-up may be lost with its connection."""

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
    return sum(_dispatch_model(model_identifier) for model_identifier in settings.MODELS)


class Outcome(enum.Enum):
    """What became of the head of a model's queue."""

    DISPATCHED = enum.auto()
    NOTHING_QUEUED = enum.auto()
    ALL_BUSY = enum.auto()
    TOO_FEW_MINERS = enum.auto()


def dispatch_next(
    model_identifier: int, set_aside: Collection[int], now: datetime
) -> tuple[Outcome, Task | None]:
    """Give a model's oldest queued task to miners, in one transaction.

    Args:
        set_aside: sessions whose tasks are not looked at.
    """
    with transaction.atomic():
        # Before the task: whoever has the miners has the queue, so a session's order holds
        # however many dispatchers there are.
        miners = lock_miners(model_identifier, now)
        task = (
            Task.objects.queued()
            .filter(model_identifier=model_identifier)
            .exclude(session_id__in=set_aside)
            .select_for_update(skip_locked=True)
            .first()
        )
        if task is None:
            return Outcome.NOTHING_QUEUED, None
        candidates = suitable(task, miners)
        if len(candidates) < task.redundancy:
            return Outcome.TOO_FEW_MINERS, task
        free = [miner.candidate for miner in candidates if miner.is_free]
        if len(free) < task.redundancy:
            return Outcome.ALL_BUSY, task
        _assign(task, choose_miners(free, task.redundancy, draw_seed(task)), now)
        return Outcome.DISPATCHED, task


def draw_seed(task: Task) -> bytes:
    """The seed of the draws for a task: a client that tries many digests cannot steer it."""
    key = hashlib.sha256(settings.SECRET_KEY.encode()).digest()
    return hashlib.blake2b(task.task_digest.encode(), key=key, digest_size=32).digest()


def _dispatch_model(model_identifier: int) -> int:
    dispatched, set_aside = 0, set[int]()
    waiting = Task.objects.queued().filter(model_identifier=model_identifier)
    # Asked without a lock: whoever holds the miners' rows keeps their reports waiting.
    while waiting.exclude(session_id__in=set_aside).exists():
        outcome, task = dispatch_next(model_identifier, set_aside, timezone.now())
        if outcome is Outcome.DISPATCHED:
            dispatched += 1
        elif outcome is Outcome.TOO_FEW_MINERS and task is not None:
            # No slot that falls free will help it: the others must not wait behind it.
            set_aside.add(task.session_id)
        else:
            break
    return dispatched


def _assign(task: Task, miners: list[Candidate], now: datetime) -> None:
    addresses = [miner.address for miner in miners]
    # First, since on commit the jobs go out before anybody is told of it.
    lease(task, dict(enumerate(addresses)), now, live=0)
    task_states.mark_assigned(task, addresses, at=now)
    outbox.enqueue(
        operations.assign_task(
            task.session_id, task.task_id, addresses, int(task.model_identifier)
        ),
        "deadlines",
    )
    logger.info("%s: assigned to %s", task, ", ".join(addresses))
