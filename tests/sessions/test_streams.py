"""A follower gets one answer, whoever makes it, or an error that says why not."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import redis.asyncio

from sessions import streams
from sessions.errors import DeadlinePassed, RelayUnavailable, SourceDiverged, TaskFailed
from sessions.models import Task, TaskStatus

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
        key = streams.miner_stream_key(address, "1")
        for piece in pieces:
            await client.xadd(key, {"text": piece})
        if done:
            await client.xadd(
                key,
                {"done": "1", "finish_reason": "stop", "prompt_tokens": 3, "completion_tokens": 2},
            )

    return write


def source(address: str) -> None:
    streams.announce_source(TASK, address, streams.miner_stream_key(address, "1"))


async def read(deadline_s: float = 5.0) -> list[streams.StreamEvent]:
    events = streams.follow_answer(TASK.session_id, TASK.task_id, deadline_s)
    return [event async for event in events]


def text_of(events: list[streams.StreamEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, streams.Text))


async def test_an_answer_is_relayed_from_its_beginning_however_late_the_reader(
    miner: Miner,
) -> None:
    streams.announce_stage(TASK, TaskStatus.QUEUED)
    source(ALICE)
    await miner(ALICE, "Paris", " is", " it")
    events = await read()
    assert text_of(events) == "Paris is it"
    assert events[0] == streams.Stage(TaskStatus.QUEUED)
    assert events[-1] == streams.Done(ALICE, "stop", 3, 2)


async def test_an_answer_that_is_judged_already_is_told_again(miner: Miner) -> None:
    source(ALICE)
    await miner(ALICE, "Paris", " is", " it")
    streams.announce_results(TASK, [streams.Result(ALICE, "Paris is it", "stop", 3, 2)])
    streams.announce_stage(TASK, TaskStatus.ENDED)
    assert text_of(await read()) == "Paris is it"


async def test_pieces_come_as_they_are_written(miner: Miner) -> None:
    source(ALICE)
    events = streams.follow_answer(TASK.session_id, TASK.task_id, 5)
    assert await anext(events) == streams.Source(ALICE)
    for piece in ("one", "two"):
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        started = time.monotonic()
        await miner(ALICE, piece, done=False)
        assert await waiting == streams.Text(piece)
        assert time.monotonic() - started < 0.5
    await events.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "pieces",
    [("The capital", " of France", " is Paris"), ("The", " cap", "ital of F", "rance is Paris")],
)
async def test_the_next_source_goes_on_from_the_same_character(
    miner: Miner, pieces: tuple[str, ...]
) -> None:
    source(ALICE)
    await miner(ALICE, "The capital", " of", done=False)
    following = asyncio.ensure_future(read())
    await asyncio.sleep(0.1)
    source(BOB)
    await miner(BOB, *pieces)
    events = await following
    assert text_of(events) == "The capital of France is Paris"
    assert isinstance(events[-1], streams.Done)
    assert events[-1].miner == BOB


@pytest.mark.parametrize("pieces", [("The town", " of Paris"), ("The",)])
async def test_a_source_that_does_not_continue_what_was_seen_ends_the_relay(
    miner: Miner, pieces: tuple[str, ...]
) -> None:
    source(ALICE)
    await miner(ALICE, "The capital", done=False)
    following = asyncio.ensure_future(read())
    await asyncio.sleep(0.1)
    source(BOB)
    await miner(BOB, *pieces)
    with pytest.raises(SourceDiverged):
        await following


async def test_what_a_replaced_source_says_after_its_replacement_is_not_relayed(
    miner: Miner,
) -> None:
    source(ALICE)
    await miner(ALICE, "wrong", " and more")
    source(BOB)
    await miner(BOB, "right")
    assert text_of(await read()) == "right"


async def test_results_reach_who_waits_for_them(miner: Miner) -> None:
    results = [streams.Result(BOB, "Paris", "stop", 3, 1), streams.Result(ALICE, "P", "stop", 3, 1)]
    waiting = asyncio.ensure_future(streams.wait_for_results(TASK.session_id, TASK.task_id, 5))
    source(ALICE)
    await miner(ALICE, "Paris")
    streams.announce_stage(TASK, TaskStatus.COMMITTED)
    streams.announce_results(TASK, results)
    assert await waiting == tuple(results)


async def test_a_failure_tells_its_reason(client: "redis.asyncio.Redis") -> None:
    streams.announce_failure(TASK, "miners_gone", "no miner is left for this task")
    with pytest.raises(TaskFailed, match="no miner is left") as raised:
        await read()
    assert raised.value.extra == {"reason": "miners_gone"}


async def test_a_task_that_ends_without_a_result_keeps_nobody_waiting(
    client: "redis.asyncio.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "END_GRACE_S", 0.1)
    streams.announce_stage(TASK, TaskStatus.ENDED)
    with pytest.raises(TaskFailed):
        await asyncio.wait_for(read(60), 5)


async def test_the_deadline_ends_the_waiting(client: "redis.asyncio.Redis") -> None:
    started = time.monotonic()
    with pytest.raises(DeadlinePassed):
        await read(0.2)
    assert time.monotonic() - started < 2


async def test_a_miners_nonsense_hurts_nobody(client: "redis.asyncio.Redis", miner: Miner) -> None:
    source(ALICE)
    key = streams.miner_stream_key(ALICE, "1")
    await client.xadd(key, {"junk": b"\xff\xfe"})
    await client.xadd(key, {"text": b"ok \xff"})
    await client.xadd(key, {"done": "", "finish_reason": "x", "prompt_tokens": "-5"})
    events = await read()
    assert text_of(events) == "ok �"
    assert events[-1] == streams.Done(ALICE, "stop", 0, 0)


async def test_a_miner_that_never_stops_is_cut_off(
    miner: Miner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MAX_TEXT_CHARACTERS", 10)
    source(ALICE)
    await miner(ALICE, "0123456789", "more", done=False)
    with pytest.raises(TaskFailed, match="10 characters"):
        await read()


async def test_losing_redis_is_a_clear_error(client: "redis.asyncio.Redis") -> None:
    following = asyncio.ensure_future(read(30))
    await asyncio.sleep(0.1)
    await client.client_kill_filter(_type="normal", skipme=True)
    with pytest.raises(RelayUnavailable):
        await asyncio.wait_for(following, 5)


async def test_a_reader_that_leaves_takes_its_connection_along(
    client: "redis.asyncio.Redis",
) -> None:
    before = len(await client.client_list())
    following = asyncio.ensure_future(read(30))
    await asyncio.sleep(0.1)
    assert len(await client.client_list()) == before + 1
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await asyncio.sleep(0.05)
    assert len(await client.client_list()) == before
