"""When the first of an answer was there, for the task's record (`Task.first_token_at`).

The live miner's stream has it, where the id of an entry is the time at which Redis took it. It is
read once a task, when that miner has precommitted. A miner may choose ids of its own, and today's
node numbers its pieces: an id that is no time since the lease tells nothing, and the record then
has no first token. Nothing but the record depends on it.
"""

import logging
from datetime import UTC, datetime

import redis
from django.conf import settings

from mining.models import Assignment
from sessions.access.buckets import client
from sessions.models import Task
from sessions.stages import task_states
from sessions.streams.bounded_reads import read_page

logger = logging.getLogger(__name__)


def note(task: Task, assignment: Assignment, now: datetime) -> None:
    """Note the time, if this miner's stream is the one that the client was told to follow."""
    if task.first_token_at is not None or assignment.announced_at is None:
        return
    try:
        # An entry may have any size; its id is all that is wanted.
        page = read_page(
            client(settings.REDIS_URL), assignment.stream_key, "0-0", entries=1, total=0, largest=0
        )
    except redis.RedisError:  # streams may be lost, and may be no streams
        logger.info("%s: its stream does not tell its first token's time", assignment)
        return
    at = _time_of(page.entries[0].id, now) if page.entries else None
    if at is not None and at >= assignment.leased_at:
        task_states.mark_first_token(task, at)


def _time_of(entry_id: str, now: datetime) -> datetime | None:
    """What a stranger's entry says, if it is no later than now."""
    milliseconds = int(entry_id.partition("-")[0])
    if milliseconds > int(now.timestamp() * 1000):
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
