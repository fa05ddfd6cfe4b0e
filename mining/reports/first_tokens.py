"""Records when a task's first token was generated (`Task.first_token_at`).

The live miner's stream contains the time: the field `at` of the first entry, in milliseconds since
the Unix epoch. If the entry lacks the field, the time in its id counts, at which Redis stored it.
The router reads it once for each task, when that miner has precommitted. The miner is untrusted: a
time before the lease or after the precommit is ignored, and the record then has no time. Only the
record depends on it.
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
"""The largest first entry, which is normally small. Of a larger one only the id is read."""
_MAX_DIGITS = 16

logger = logging.getLogger(__name__)


def note(task: Task, assignment: Assignment, now: datetime) -> None:
    """Record the time if the client was told to follow this miner's stream."""
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
    except redis.RedisError:  # the stream may be lost, or the key may not be a stream
        logger.info("%s: the time of the first token could not be read", assignment)
        return
    at = _time_of(page.entries[0], now) if page.entries else None
    if at is not None and at >= assignment.leased_at:
        task_states.mark_first_token(task, at)


def _time_of(entry: SizedEntry, now: datetime) -> datetime | None:
    """Return the time that an entry states, or None if it is not a time up to now."""
    told = entry.fields.get(b"at", entry.id.partition("-")[0].encode())
    if not told.isdigit() or len(told) > _MAX_DIGITS:
        return None
    milliseconds = int(told)
    if milliseconds > int(now.timestamp() * 1000):
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
