"""Answers that end early, since nobody waits for more: a client has left, or says so.

The live miner's stream says how far its answer is. That many characters are enough: every miner of
the task ends there, what it has is judged up to there, and no more is paid.
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
"""Sent on commit with `task`; who knows the miners tells them."""

logger = logging.getLogger(__name__)

_UNFINISHED = (TaskStatus.ASSIGNED, TaskStatus.ACKED)


def leave(tasks: Sequence[Task]) -> None:
    """A client waits for these answers no more. Those that nobody else follows end here."""
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
    """End an answer where it is; whether anything was left of it to do without.

    Raises:
        RedisError: nobody knows how far it is.
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
    logger.info("%s: nobody waits for more than %d characters", row, made.characters)
    return True
