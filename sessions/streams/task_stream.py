"""The router's writes to Redis Streams: a task's live source, its stages and its results.

Redis may lose all of it. The database has the task, and a follower then ends with an error.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import redis
from django.conf import settings
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from sessions.models import Task, TaskStatus
from sessions.results import TaskResult

MAX_ENTRIES = 1_000
"""A limit against a runaway writer. A task's stream has only a few entries per stage."""
WRITE_TIMEOUT_S = 1.0
WRITE_RETRIES = 3
KEPT_S = 600
"""How many seconds a task's stream is kept after the task's timeout."""


@dataclass(frozen=True)
class Addition:
    """An entry to add to a stream, and how many entries the stream keeps for how long."""

    key: str
    entry: dict[str, str]
    max_entries: int
    kept_s: int


def task_stream_key(session_id: int, task_id: int) -> str:
    """Return the key of a task's stream, which only the router writes."""
    return f"task:{session_id}:{task_id}"


def miner_stream_key(address: str, assignment_id: object) -> str:
    """Return the key of the stream that a miner writes for one assignment."""
    return f"miner:{address.lower()}:stream:{assignment_id}"


def announce_source(task: Task, miner: str, key: str) -> None:
    """Make a miner's stream the live source, instead of an earlier one. Call it on commit."""
    write(_of_task(task, {"type": "source", "miner": miner, "key": key}))


def stage(task: Task, status: TaskStatus) -> Addition:
    """Return the addition that announces a task's stage, to be written with others."""
    return _of_task(task, {"type": "stage", "status": status.value})


def announce_results(task: Task, results: Sequence[TaskResult]) -> None:
    """Announce the results that count, best first. Call it on commit."""
    body = json.dumps([asdict(result) for result in results])
    write(_of_task(task, {"type": "results", "body": body}))


def announce_failure(task: Task, code: str, message: str) -> None:
    """Announce that no result will come, and why. Call it on commit."""
    write(_of_task(task, {"type": "failed", "code": code, "message": message}))


@cache
def writer(url: str) -> redis.Redis:
    """Return this process's connection pool for writing."""
    # A client waits for what is written here, so give up a stalled connection soon and retry with
    # another. A repeated entry does no harm.
    return redis.Redis.from_url(
        url,
        protocol=2,
        socket_timeout=WRITE_TIMEOUT_S,
        socket_connect_timeout=WRITE_TIMEOUT_S,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.01), WRITE_RETRIES),
    )


def write(*additions: Addition) -> None:
    """Add entries to their streams in one round trip. The streams drop their oldest entries."""
    pipeline = writer(settings.REDIS_URL).pipeline(transaction=False)
    for addition in additions:
        fields: dict[Any, Any] = {**addition.entry}  # redis-py's types reject dict[str, str]
        pipeline.xadd(addition.key, fields, maxlen=addition.max_entries, approximate=True)
        pipeline.expire(addition.key, addition.kept_s)
    pipeline.execute()


def _of_task(task: Task, entry: dict[str, str]) -> Addition:
    key = task_stream_key(task.session_id, task.task_id)
    return Addition(key, entry, MAX_ENTRIES, 2 * task.timeout_s + KEPT_S)
