"""A task without a row, its miners' streams, and a follower that reads them."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import redis.asyncio

from sessions.models import Task
from sessions.streams import answer_stream, task_stream
from sessions.streams.answer import AnswerPiece, StreamEvent

TASK = Task(session_id=7, task_id=1_000_000, timeout_s=5)
ALICE, BOB = "0x" + "aa" * 20, "0x" + "bb" * 20


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator["redis.asyncio.Redis"]:
    connection = redis.asyncio.Redis.from_url(redis_url, protocol=2)
    yield connection
    await connection.aclose()


Miner = Callable[..., Awaitable[None]]


@pytest.fixture
def miner(client: "redis.asyncio.Redis") -> Miner:
    async def write(address: str, *pieces: str, done: bool = True) -> None:
        key = task_stream.miner_stream_key(address, "1")
        for number, piece in enumerate(pieces):
            told: dict[str, str] = {} if number else {"at": "1700000000250"}
            await client.xadd(key, {"text": piece, **told})
        if done:
            await client.xadd(
                key,
                {"done": "1", "finish_reason": "stop", "prompt_tokens": 3, "completion_tokens": 2},
            )

    return write


def source(address: str) -> None:
    task_stream.announce_source(TASK, address, task_stream.miner_stream_key(address, "1"))


async def read(deadline_s: float = 5.0) -> list[StreamEvent]:
    events = answer_stream.follow_answer(TASK.session_id, TASK.task_id, deadline_s)
    return [event async for event in events]


def text_of(events: list[StreamEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, AnswerPiece))


async def anext_of(events: AsyncIterator[StreamEvent]) -> list[StreamEvent]:
    return [event async for event in events]
