"""Live streams: what the router's side writes into a task's stream, and who reads it.

`task:<session>:<task>` says which miner's stream is live and how the task goes on; a follower reads
both together (`docs/architecture.md`, "Live relay"). All of it may be lost: the database has the
task, and a follower ends with an error.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

import redis
import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sessions.errors import DeadlinePassed, RelayUnavailable, SourceDiverged, TaskFailed
from sessions.models import Task, TaskStatus

MAX_ENTRIES = 1_000
"""A task's stream has a few entries a stage; the bound only guards against a runaway writer."""
KEPT_S = 600
"""How long a task's stream outlives the task's timeout."""
MAX_TEXT_CHARACTERS = 1_000_000
"""A miner that streams more than this is not believed any further."""
END_GRACE_S = 2.0
"""How long a follower still waits for what comes with the end of a task."""
ENTRIES_A_READ = 64


@dataclass(frozen=True)
class Result:
    """A result that counts, of one miner."""

    address: str
    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class Source:
    """From now on this miner's stream is the live one."""

    miner: str


@dataclass(frozen=True)
class Stage:
    """The task has reached a stage."""

    status: TaskStatus


@dataclass(frozen=True)
class Text:
    """The next piece of the answer."""

    text: str


@dataclass(frozen=True)
class Done:
    """The live miner's answer is complete. The counts are its own and not judged yet."""

    miner: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class Results:
    """The results that count, best first. Nothing follows."""

    results: tuple[Result, ...]


StreamEvent = Source | Stage | Text | Done | Results


def task_stream_key(session_id: int, task_id: int) -> str:
    return f"task:{session_id}:{task_id}"


def miner_stream_key(address: str, assignment_id: object) -> str:
    return f"miner:{address.lower()}:stream:{assignment_id}"


def announce_source(task: Task, miner: str, key: str) -> None:
    """Make a miner's stream the live one; a later call replaces it. Call it on commit."""
    _write(task, {"type": "source", "miner": miner, "key": key})


def announce_stage(task: Task, status: TaskStatus) -> None:
    """Tell followers the task's stage. Call it on commit."""
    _write(task, {"type": "stage", "status": status.value})


def announce_results(task: Task, results: Sequence[Result]) -> None:
    """Hand the results that count to who waits, best first. Call it on commit."""
    body = json.dumps([asdict(result) for result in results])
    _write(task, {"type": "results", "body": body})


def announce_failure(task: Task, code: str, message: str) -> None:
    """Tell followers that no result will come, and why. Call it on commit."""
    _write(task, {"type": "failed", "code": code, "message": message})


async def follow_answer(
    session_id: int, task_id: int, deadline_s: float
) -> AsyncGenerator[StreamEvent]:
    """The live miner's answer as it comes; ends after `Done`.

    Raises:
        RelayError: no answer (any more); the subclass says why.
    """
    async with aclosing(_follow(session_id, task_id, deadline_s)) as events:
        async for event in events:
            yield event
            if isinstance(event, Done):
                return


async def wait_for_results(session_id: int, task_id: int, deadline_s: float) -> tuple[Result, ...]:
    """The judged results that count, best first.

    Raises:
        RelayError: none will come, or not in time.
    """
    async with aclosing(_follow(session_id, task_id, deadline_s)) as events:
        async for event in events:
            if isinstance(event, Results):
                return event.results
    raise TaskFailed("the task ended without a result")


async def _follow(session_id: int, task_id: int, deadline_s: float) -> AsyncGenerator[StreamEvent]:
    """Everything about a task from its start; ends once `Results` and all of the answer are told.

    An answer that is asked for again when it is judged already has both at once.
    """
    relay = _Relay(task_stream_key(session_id, task_id), time.monotonic() + deadline_s)
    judged = False
    async with _client() as client:
        while True:
            left_s = relay.deadline - time.monotonic()
            if left_s <= 0:
                raise relay.too_late()
            try:
                answer = await client.xread(
                    relay.positions, count=ENTRIES_A_READ, block=max(1, int(left_s * 1000))
                )
            except (redis.RedisError, OSError) as error:
                raise RelayUnavailable(
                    "the router's live streams are not reachable",
                    remedy="look at the task later; it goes on",
                ) from error
            for event in relay.read(answer):
                yield event
                if isinstance(event, Results):
                    relay.end_soon()
                    judged = True
            if judged and (relay.done or relay.source_key is None):
                return


@dataclass
class _Relay:
    """Where one follower is in the two streams, and what it has handed on."""

    task_key: str
    deadline: float
    miner: str = ""
    source_key: str | None = None
    done: bool = False
    ended: bool = False
    _task_id: str = "0-0"
    _source_id: str = "0-0"
    _sent: list[str] = field(default_factory=list)
    _sent_characters: int = 0
    _to_match: str = ""

    @property
    def positions(self) -> dict[Any, Any]:
        """Which streams to read, and from where."""
        positions = {self.task_key: self._task_id}
        if self.source_key and not self.done:
            positions[self.source_key] = self._source_id
        return positions

    def too_late(self) -> Exception:
        """The error for when nothing more is awaited."""
        if self.ended:
            return TaskFailed(
                "the task ended without a result; what was reserved for it and not paid"
                " has returned to the session"
            )
        return DeadlinePassed(
            "no answer within the time that the task has",
            remedy="look at the task later; what is not paid returns to the session",
        )

    def end_soon(self) -> None:
        """Nothing but what is on its way is awaited any more."""
        self.deadline = min(self.deadline, time.monotonic() + END_GRACE_S)

    def read(self, answer: Any) -> list[StreamEvent]:
        """Take what XREAD returned."""
        batches = {_text(key): entries for key, entries in answer}
        events: list[StreamEvent] = []
        read_from = self.source_key
        for entry_id, entry in batches.get(self.task_key, ()):
            self._task_id = _text(entry_id)
            events += self._read_task(_texts(entry))
        # What a replaced source said last, nobody has seen: its successor says it.
        if read_from is not None and read_from == self.source_key and not self.done:
            for entry_id, entry in batches.get(read_from, ()):
                self._source_id = _text(entry_id)
                events += self._read_source(_texts(entry))
                if self.done:
                    break
        return events

    def _read_task(self, entry: dict[str, str]) -> list[StreamEvent]:
        match entry.get("type"):
            case "source" if not self.done and entry["key"] != self.source_key:
                self._to_match = "".join(self._sent)
                self.miner, self.source_key, self._source_id = entry["miner"], entry["key"], "0-0"
                return [Source(self.miner)]
            case "stage":
                status = TaskStatus(entry["status"])
                if status.is_final and not self.ended:
                    self.ended = True
                    self.end_soon()
                return [Stage(status)]
            case "results":
                return [Results(tuple(Result(**row) for row in json.loads(entry["body"])))]
            case "failed":
                raise TaskFailed(entry["message"], extra={"reason": entry["code"]})
        return []

    def _read_source(self, entry: dict[str, str]) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        # A miner is a stranger: whatever it leaves out or makes up must not hurt.
        piece = self._unseen(entry.get("text", ""))
        if piece:
            events.append(Text(piece))
        if "done" in entry:
            if self._to_match:
                raise self._diverged()
            self.done = True
            events.append(
                Done(
                    self.miner,
                    "length" if entry.get("finish_reason") == "length" else "stop",
                    _count(entry.get("prompt_tokens")),
                    _count(entry.get("completion_tokens")),
                )
            )
        return events

    def _unseen(self, text: str) -> str:
        """What of a piece the client has not had from an earlier source."""
        if self._to_match:
            common = min(len(text), len(self._to_match))
            if text[:common] != self._to_match[:common]:
                raise self._diverged()
            self._to_match, text = self._to_match[common:], text[common:]
        if text:
            self._sent.append(text)
            self._sent_characters += len(text)
            if self._sent_characters > MAX_TEXT_CHARACTERS:
                raise TaskFailed(f"the miner streams more than {MAX_TEXT_CHARACTERS} characters")
        return text

    def _diverged(self) -> SourceDiverged:
        return SourceDiverged(
            "the miner was replaced in mid-answer, and the next one's text does not continue what"
            " was already sent",
            remedy="discard the text and look at the task for the result that counts",
        )


@asynccontextmanager
async def _client() -> AsyncIterator["redis.asyncio.Redis"]:
    # A blocking read must be allowed to take as long as it says.
    client = redis.asyncio.Redis.from_url(
        settings.REDIS_URL,
        protocol=2,
        socket_timeout=None,
        single_connection_client=True,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        yield client
    finally:
        # A follower that is cancelled still gives its connection back.
        await asyncio.shield(client.aclose())


@cache
def _writer(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, protocol=2)


def _write(task: Task, entry: dict[str, str]) -> None:
    key = task_stream_key(task.session_id, task.task_id)
    fields: dict[Any, Any] = {**entry}  # the client's types want no plain dict of strings
    pipeline = _writer(settings.REDIS_URL).pipeline(transaction=False)
    pipeline.xadd(key, fields, maxlen=MAX_ENTRIES, approximate=True)
    pipeline.expire(key, 2 * task.timeout_s + KEPT_S)
    pipeline.execute()


def _texts(entry: dict[Any, Any]) -> dict[str, str]:
    return {_text(key): _text(value) for key, value in entry.items()}


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _count(value: str | None) -> int:
    return int(value) if value and value.isdecimal() and len(value) < 10 else 0
