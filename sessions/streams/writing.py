"""Live streams: what the router's side writes into a task's stream, and who reads it.

`task:<session>:<task>` says which miner's stream is live and how the task goes on; a follower reads
both together (`docs/reference/streams.md`). All of it may be lost: the database has the task, and
a follower ends with an error.
"""

import json
import logging
import math
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, NamedTuple

import redis
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError, connection
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from sessions import ports
from sessions.errors import RelayUnavailable
from sessions.models import Task, TaskStatus
from sessions.results import Result
from sessions.streams.answer import Done, Position, Relay, Results, Source, Stage, StreamEvent, Text
from sessions.streams.bounded_reads import StreamTooLarge, read_whole
from sessions.streams.buffer import START
from sessions.streams.metrics import STREAMS_OPEN, AnswerClock
from sessions.streams.reader import current_reader

__all__ = [
    "Addition",
    "Done",
    "Made",
    "Position",
    "Result",
    "Results",
    "Source",
    "Stage",
    "StreamEvent",
    "Text",
    "announce_failure",
    "announce_results",
    "announce_source",
    "follow_answer",
    "follow_batches",
    "made_so_far",
    "miner_stream_key",
    "stage",
    "task_stream_key",
    "write",
]

logger = logging.getLogger(__name__)

MAX_ENTRIES = 1_000
"""A task's stream has a few entries a stage; the bound only guards against a runaway writer."""
WRITE_TIMEOUT_S = 1.0
WRITE_RETRIES = 3
SOURCES_AMONG_LAST = 64
"""The last entry that names a source is among so many: a task has fewer stages."""
MAX_PIECES = 100_000
MAX_STREAM_BYTES = 16 * 1024 * 1024
"""What is read of a miner's stream at most."""
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


def announce_results(task: Task, results: Sequence[Result]) -> None:
    """Hand the results that count to who waits, best first. Call it on commit."""
    body = json.dumps([asdict(result) for result in results])
    write(_of_task(task, {"type": "results", "body": body}))


def announce_failure(task: Task, code: str, message: str) -> None:
    """Tell followers that no result will come, and why. Call it on commit."""
    write(_of_task(task, {"type": "failed", "code": code, "message": message}))


async def follow_answer(
    session_id: int, task_id: int, deadline_s: float, after: Position | None = None
) -> AsyncGenerator[StreamEvent]:
    """The live miner's answer as it comes; ends after `Done`. `after` is what the client has.

    Raises:
        RelayError: no answer (any more); the subclass says why.
    """
    async with aclosing(follow_batches(session_id, task_id, deadline_s, after)) as batches:
        async for events in batches:
            for event in events:
                yield event
                if isinstance(event, Done):
                    return


async def follow_batches(
    session_id: int,
    task_id: int,
    deadline_s: float,
    after: Position | None = None,
    tick_s: float = math.inf,
    left_s: Callable[[Sequence[StreamEvent]], float] = lambda _: math.inf,
) -> AsyncGenerator[list[StreamEvent]]:
    """Everything about a task from its start, as much at a time as there is.

    What its stream has lost (Redis may lose all) is made up for from what is kept of the results.

    Ends once `Results` and all of the answer are told: one that is asked for again when it is
    judged already has both at once. A batch is empty when `tick_s` seconds passed without anything.

    Args:
        left_s: for how many seconds more is waited for after these events, at most.

    Raises:
        RelayError: nothing more will come; the subclass says why.
    """
    task_key = task_stream_key(session_id, task_id)
    relay = Relay(task_key, time.monotonic() + deadline_s, after or Position())
    clock = AnswerClock() if after is None else None
    with STREAMS_OPEN.track_inprogress():
        async with current_reader().follower() as follower:
            follower.add(task_key)
            source_key: str | None = None
            judged = False
            while True:
                to_go_s = relay.deadline - time.monotonic()
                try:
                    found = await follower.read(min(to_go_s, tick_s))
                except RelayUnavailable:
                    if kept := relay.make_up(await _kept(session_id, task_id)):
                        yield kept
                        return
                    raise
                if not found:
                    if to_go_s > tick_s:
                        yield []
                        continue
                    if kept := relay.make_up(await _kept(session_id, task_id)):
                        yield kept
                        return
                    raise relay.too_late()
                events = relay.read(found)
                relay.deadline = min(relay.deadline, time.monotonic() + left_s(events))
                live_key = None if relay.done else relay.source_key
                if live_key != source_key:
                    if source_key is not None:
                        follower.remove(source_key)
                    if live_key is not None:
                        follower.add(live_key, START)
                    source_key = live_key
                if clock is not None:
                    clock.see(events)
                if events:
                    yield events
                if any(isinstance(event, Results) for event in events):
                    relay.end_soon()
                    judged = True
                if judged and (relay.done or relay.source_key is None):
                    return


async def _kept(session_id: int, task_id: int) -> list[Result]:
    try:
        return await sync_to_async(_read_kept, thread_sensitive=False)(session_id, task_id)
    except DatabaseError:
        logger.warning("what is kept of a task's results cannot be read", exc_info=True)
        return []


def _read_kept(session_id: int, task_id: int) -> list[Result]:
    try:
        return ports.kept_results(session_id, task_id)
    finally:
        # The pool has few connections.
        if not connection.in_atomic_block:
            connection.close()


class Made(NamedTuple):
    """How much there is of an answer, and whether that is all."""

    characters: int
    is_whole: bool


def made_so_far(session_id: int, task_id: int) -> Made:
    """What the live miner has streamed of an answer. Raises RedisError."""
    client = _writer(settings.REDIS_URL)
    newest_first: Any = client.xrevrange(
        task_stream_key(session_id, task_id), count=SOURCES_AMONG_LAST
    )
    source = next((fields[b"key"] for _, fields in newest_first if b"key" in fields), None)
    if source is None:
        return Made(0, is_whole=False)
    try:
        entries = read_whole(client, source, entries=MAX_PIECES, total=MAX_STREAM_BYTES)
    except StreamTooLarge:
        # No answer is so large: nothing of it is worth waiting for.
        return Made(0, is_whole=False)
    text = b"".join(fields.get(b"text", b"") for fields in entries).decode(errors="replace")
    return Made(len(text), any(b"done" in fields for fields in entries))


@cache
def _writer(url: str) -> redis.Redis:
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
    pipeline = _writer(settings.REDIS_URL).pipeline(transaction=False)
    for addition in additions:
        fields: dict[Any, Any] = {**addition.entry}  # the client's types want no dict of strings
        pipeline.xadd(addition.key, fields, maxlen=addition.max_entries, approximate=True)
        pipeline.expire(addition.key, addition.kept_s)
    pipeline.execute()


def _of_task(task: Task, entry: dict[str, str]) -> Addition:
    key = task_stream_key(task.session_id, task.task_id)
    return Addition(key, entry, MAX_ENTRIES, 2 * task.timeout_s + KEPT_S)
