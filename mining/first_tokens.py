"""When the first of an answer was there, for the task's record (`Task.first_token_at`).

The live miner's stream has it: the id of an entry is the time at which Redis took it. It is read
once a task, when that miner has precommitted. A miner may choose ids of its own, so what it says
is kept between its lease and its precommit. Nothing but the record depends on it.
"""

import logging
from datetime import UTC, datetime

import redis
from django.conf import settings

from mining.models import Assignment
from sessions import task_states
from sessions.access.buckets import client
from sessions.bounded_reads import read_page
from sessions.models import Task

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
    if page.entries:
        task_states.mark_first_token(task, _time_of(page.entries[0].id, assignment, now))


def _time_of(entry_id: str, assignment: Assignment, now: datetime) -> datetime:
    """What a stranger's entry says, within what is possible."""
    milliseconds = min(int(entry_id.partition("-")[0]), int(now.timestamp() * 1000))
    return min(max(datetime.fromtimestamp(milliseconds / 1000, UTC), assignment.leased_at), now)
