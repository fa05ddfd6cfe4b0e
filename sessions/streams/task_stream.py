"""What the router writes into Redis Streams: which miner's stream is live, how a task goes on.

All of it may be lost: the database has the task, and a follower ends with an error.
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
"""A task's stream has a few entries a stage; the bound only guards against a runaway writer."""
WRITE_TIMEOUT_S = 1.0
WRITE_RETRIES = 3
KEPT_S = 600
"""How long a task's stream outlives the task's timeout."""


@dataclass(frozen=True)
class Addition:
    """An entry to be added to a stream: how many that keeps at most, and for how long."""

    key: str
    entry: dict[str, str]
    max_entries: int
    kept_s: int


def task_stream_key(session_id: int, task_id: int) -> str:
    return f"task:{session_id}:{task_id}"


def miner_stream_key(address: str, assignment_id: object) -> str:
    return f"miner:{address.lower()}:stream:{assignment_id}"


def announce_source(task: Task, miner: str, key: str) -> None:
    """Make a miner's stream the live one; a later call replaces it. Call it on commit."""
    write(_of_task(task, {"type": "source", "miner": miner, "key": key}))


def stage(task: Task, status: TaskStatus) -> Addition:
    """What tells followers the task's stage, to be written together with more."""
    return _of_task(task, {"type": "stage", "status": status.value})


def announce_results(task: Task, results: Sequence[TaskResult]) -> None:
    """Hand the results that count to who waits, best first. Call it on commit."""
    body = json.dumps([asdict(result) for result in results])
    write(_of_task(task, {"type": "results", "body": body}))


def announce_failure(task: Task, code: str, message: str) -> None:
    """Tell followers that no result will come, and why. Call it on commit."""
    write(_of_task(task, {"type": "failed", "code": code, "message": message}))


@cache
def writer(url: str) -> redis.Redis:
    """The connection pool of what this process writes."""
    # What is lost here, a client waits for: a connection that stalls is soon given up for another.
    # An entry that comes twice says nothing new.
    return redis.Redis.from_url(
        url,
        protocol=2,
        socket_timeout=WRITE_TIMEOUT_S,
        socket_connect_timeout=WRITE_TIMEOUT_S,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.01), WRITE_RETRIES),
    )


def write(*additions: Addition) -> None:
    """Add entries to streams that forget what is old, all in one go."""
    pipeline = writer(settings.REDIS_URL).pipeline(transaction=False)
    for addition in additions:
        fields: dict[Any, Any] = {**addition.entry}  # the client's types want no dict of strings
        pipeline.xadd(addition.key, fields, maxlen=addition.max_entries, approximate=True)
        pipeline.expire(addition.key, addition.kept_s)
    pipeline.execute()


def _of_task(task: Task, entry: dict[str, str]) -> Addition:
    key = task_stream_key(task.session_id, task.task_id)
    return Addition(key, entry, MAX_ENTRIES, 2 * task.timeout_s + KEPT_S)
