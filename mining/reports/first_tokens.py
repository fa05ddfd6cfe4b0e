"""When the first of an answer was there, for the task's record (`Task.first_token_at`).

The live miner's stream has it: the field `at` of the first entry, in milliseconds since the epoch.
Where an entry has no such field, its id may be the time at which Redis took it. It is read once a
task, when that miner has precommitted. A miner may write what it likes: a time before the lease or
after the precommit is none, and the record then has no first token. Nothing but the record depends
on it.
"""

import logging
from datetime import UTC, datetime

import redis
from django.conf import settings

from mining.models import Assignment
from sessions.access.buckets import client
from sessions.models import Task
from sessions.stages import task_states
from sessions.streams.bounded_reads import SizedEntry, read_page

MAX_ENTRY_BYTES = 64 * 1024
"""A first piece is small. Of an entry that is larger only the id is read."""
_MAX_DIGITS = 16

logger = logging.getLogger(__name__)


def note(task: Task, assignment: Assignment, now: datetime) -> None:
    """Note the time, if this miner's stream is the one that the client was told to follow."""
    if task.first_token_at is not None or assignment.announced_at is None:
        return
    try:
        page = read_page(
            client(settings.REDIS_URL),
            assignment.stream_key,
            "0-0",
            entries=1,
            total=MAX_ENTRY_BYTES,
            largest=MAX_ENTRY_BYTES,
        )
    except redis.RedisError:  # streams may be lost, and may be no streams
        logger.info("%s: its stream does not tell its first token's time", assignment)
        return
    at = _time_of(page.entries[0], now) if page.entries else None
    if at is not None and at >= assignment.leased_at:
        task_states.mark_first_token(task, at)


def _time_of(entry: SizedEntry, now: datetime) -> datetime | None:
    """What a stranger's entry says, if it is a time no later than now."""
    told = entry.fields.get(b"at", entry.id.partition("-")[0].encode())
    if not told.isdigit() or len(told) > _MAX_DIGITS:
        return None
    milliseconds = int(told)
    if milliseconds > int(now.timestamp() * 1000):
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
