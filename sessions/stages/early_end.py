"""Early ends of answers, when a client disconnects or asks to stop.

The live miner's stream tells the length of the answer so far. Every miner of the task stops at that
length, the validator judges results up to it, and nothing after it is paid.
"""

import logging
from collections.abc import Sequence

import redis
from django.db import connection, transaction
from django.dispatch import Signal

from sessions.access.streams import is_followed
from sessions.models import Task, TaskStatus
from sessions.stages import task_states
from sessions.streams import answer_stream

task_shortened = Signal()
"""Sent on commit with `task`. The receivers tell the task's miners."""

logger = logging.getLogger(__name__)

_UNFINISHED = (TaskStatus.ASSIGNED, TaskStatus.ACKED)


def leave(tasks: Sequence[Task]) -> None:
    """End the answers that a client no longer waits for, unless another client follows them."""
    try:
        for task in tasks:
            if not is_followed((task.session_id, task.task_id)):
                shorten(task)
    except redis.RedisError:
        logger.warning("a client has left, and Redis does not say how far its answers are")
    finally:
        if not connection.in_atomic_block:
            connection.close()


def shorten(task: Task) -> bool:
    """End an answer at its current length. Return whether this changed anything.

    Raises:
        RedisError: Redis is unavailable, so the current length is unknown.
    """
    made = answer_stream.made_so_far(task.session_id, task.task_id)
    if made.is_whole:
        return False
    with transaction.atomic():
        row = Task.objects.select_for_update().get(pk=task.pk)
        if row.status == TaskStatus.QUEUED:
            return task_states.mark_failed(
                row, "cancelled", "it was cancelled before a miner had it; nothing is paid"
            )
        if row.status not in _UNFINISHED or row.enough_characters is not None:
            return False
        row.enough_characters = made.characters
        row.save(update_fields=["enough_characters"])
        transaction.on_commit(lambda: task_shortened.send(sender=Task, task=row), robust=True)
    logger.info("%s: its clients need no more than %d characters", row, made.characters)
    return True
