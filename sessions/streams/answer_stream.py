"""The events of a task's answer, from the task's own stream and the live miner's stream.

The stream `task:<session>:<task>` names the live miner's stream and reports the task's stages. A
follower reads both together (`docs/architecture.md`, "Live relay").
"""

import logging
import math
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError, connection

from sessions import ports
from sessions.errors import RelayUnavailable
from sessions.results import TaskResult
from sessions.streams.answer import (
    AnswerDone,
    AnswerPosition,
    AnswerRelay,
    ResultsCounted,
    StreamEvent,
)
from sessions.streams.bounded_reads import StreamTooLarge, read_whole
from sessions.streams.buffer import START
from sessions.streams.metrics import STREAMS_OPEN, AnswerClock
from sessions.streams.reader import current_reader
from sessions.streams.task_stream import task_stream_key, writer

logger = logging.getLogger(__name__)

SOURCES_AMONG_LAST = 64
"""The last `source` entry is among this many entries, because a task has fewer stages."""
MAX_PIECES = 100_000
MAX_STREAM_BYTES = 16 * 1024 * 1024
"""The most bytes that `made_so_far` reads of a miner's stream."""


async def follow_answer(
    session_id: int, task_id: int, deadline_s: float, after: AnswerPosition | None = None
) -> AsyncGenerator[StreamEvent]:
    """Yield the live miner's answer as it arrives, up to `AnswerDone`.

    Args:
        after: the position that the client has reached.

    Raises:
        RelayError: no answer, or no more of it, will come. The subclass says why.
    """
    async with aclosing(follow_batches(session_id, task_id, deadline_s, after)) as batches:
        async for events in batches:
            for event in events:
                yield event
                if isinstance(event, AnswerDone):
                    return


async def follow_batches(
    session_id: int,
    task_id: int,
    deadline_s: float,
    after: AnswerPosition | None = None,
    tick_s: float = math.inf,
    left_s: Callable[[Sequence[StreamEvent]], float] = lambda _: math.inf,
) -> AsyncGenerator[list[StreamEvent]]:
    """Yield all events of a task from its start, in batches of what is available.

    Events that the streams have lost (Redis may lose all data) are made from the stored results.
    The generator ends after `ResultsCounted` and the complete answer. For a task that is already
    judged, both are available at once.

    Args:
        tick_s: yield an empty batch after so many seconds without an event.
        left_s: returns for how many more seconds to wait, at most, after these events.

    Raises:
        RelayError: nothing more will come. The subclass says why.
    """
    task_key = task_stream_key(session_id, task_id)
    relay = AnswerRelay(task_key, time.monotonic() + deadline_s, after or AnswerPosition())
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
                if any(isinstance(event, ResultsCounted) for event in events):
                    relay.end_soon()
                    judged = True
                if judged and (relay.done or relay.source_key is None):
                    return


async def _kept(session_id: int, task_id: int) -> list[TaskResult]:
    try:
        return await sync_to_async(_read_kept, thread_sensitive=False)(session_id, task_id)
    except DatabaseError:
        logger.warning("what is kept of a task's results cannot be read", exc_info=True)
        return []


def _read_kept(session_id: int, task_id: int) -> list[TaskResult]:
    try:
        return ports.kept_results(session_id, task_id)
    finally:
        # Keep no connection: the pool is small.
        if not connection.in_atomic_block:
            connection.close()


class Made(NamedTuple):
    """The length of an answer so far, and whether it is complete."""

    characters: int
    is_whole: bool


def made_so_far(session_id: int, task_id: int) -> Made:
    """Return how much of an answer the live miner has streamed. Raises RedisError."""
    client = writer(settings.REDIS_URL)
    newest_first: Any = client.xrevrange(
        task_stream_key(session_id, task_id), count=SOURCES_AMONG_LAST
    )
    source = next((fields[b"key"] for _, fields in newest_first if b"key" in fields), None)
    if source is None:
        return Made(0, is_whole=False)
    try:
        entries = read_whole(client, source, entries=MAX_PIECES, total=MAX_STREAM_BYTES)
    except StreamTooLarge:
        # No answer is so large, so none of it is worth waiting for.
        return Made(0, is_whole=False)
    text = b"".join(fields.get(b"text", b"") for fields in entries).decode(errors="replace")
    return Made(len(text), any(b"done" in fields for fields in entries))
