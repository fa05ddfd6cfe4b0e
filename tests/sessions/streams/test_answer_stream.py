"""A follower gets one answer from any miner, or an error that says why not."""

import asyncio
import json
import socket
import time
import zlib

import pytest
import redis.asyncio
from pytest_django.fixtures import Settings

from sessions.errors import (
    DeadlinePassed,
    RelayUnavailable,
    SourceDiverged,
    TaskFailed,
)
from sessions.models import Task, TaskStatus
from sessions.results import TaskResult
from sessions.stages.verdicts import wait_for_results
from sessions.streams import answer_stream, reader, task_stream
from sessions.streams.answer import (
    AnswerDone,
    AnswerPiece,
    AnswerPosition,
    SourceChosen,
    StageReached,
)
from sessions.streams.follower import LONG_WAIT_S
from tests.sessions.followed_task import (
    ALICE,
    BOB,
    TASK,
    Miner,
    anext_of,
    client,
    miner,
    read,
    source,
    text_of,
)

__all__ = ["client", "miner"]


async def test_an_answer_is_relayed_from_its_beginning_however_late_the_reader(
    miner: Miner,
) -> None:
    task_stream.write(task_stream.stage(TASK, TaskStatus.QUEUED))
    source(ALICE)
    await miner(ALICE, "Paris", " is", " it")
    events = await read()
    assert text_of(events) == "Paris is it"
    assert events[0] == StageReached(TaskStatus.QUEUED)
    assert events[-1] == AnswerDone(ALICE, "stop", 3, 2)


async def test_an_answer_that_is_judged_already_is_told_again(miner: Miner) -> None:
    source(ALICE)
    await miner(ALICE, "Paris", " is", " it")
    task_stream.announce_results(TASK, [TaskResult(ALICE, "Paris is it", "stop", 3, 2)])
    task_stream.write(task_stream.stage(TASK, TaskStatus.ENDED))
    assert text_of(await read()) == "Paris is it"


async def test_an_answer_whose_source_nobody_told_of_is_told_by_its_result(
    client: "redis.asyncio.Redis",
) -> None:
    task_stream.write(task_stream.stage(TASK, TaskStatus.QUEUED))
    results = [
        TaskResult(ALICE, "Paris is it", "length", 3, 2),
        TaskResult(BOB, "No", "stop", 3, 1),
    ]
    task_stream.announce_results(TASK, results)
    events = await read()
    assert text_of(events) == "Paris is it"
    assert events[-1] == AnswerDone(ALICE, "length", 3, 2)
    after = AnswerPosition.parse(f"5-{zlib.crc32(b'Paris'):08x}")
    rest = [event async for event in answer_stream.follow_answer(7, 1_000_000, 5, after)]
    assert text_of(rest) == " is it"
    after = AnswerPosition.parse(f"5-{zlib.crc32(b'Berne'):08x}")
    with pytest.raises(SourceDiverged):
        [event async for event in answer_stream.follow_answer(7, 1_000_000, 5, after)]


async def test_pieces_come_as_they_are_written(miner: Miner) -> None:
    source(ALICE)
    events = answer_stream.follow_answer(TASK.session_id, TASK.task_id, 5)
    assert await anext(events) == SourceChosen(ALICE)
    for piece in ("one", "two"):
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        started = time.monotonic()
        await miner(ALICE, piece, done=False)
        assert await waiting == AnswerPiece(piece)
        assert time.monotonic() - started < LONG_WAIT_S / 2
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
    assert isinstance(events[-1], AnswerDone)
    assert events[-1].miner == BOB


async def test_the_next_source_tells_no_token_again(client: "redis.asyncio.Redis") -> None:
    async def say(address: str, *pieces: tuple[str, list[int]]) -> None:
        for text, tokens in pieces:
            told = json.dumps([[token, "-0.5", []] for token in tokens])
            key = task_stream.miner_stream_key(address, "1")
            await client.xadd(key, {"text": text, "logprobs": told})

    source(ALICE)
    await say(ALICE, ("Paris", [1]), (" is", [2]))
    events = answer_stream.follow_answer(TASK.session_id, TASK.task_id, 5.0)
    seen = [await anext(events) for _ in range(2)]
    assert text_of(seen) == "Paris is"
    # Its pieces are cut otherwise, and a part of a character comes before its text.
    await say(BOB, ("Par", []), ("is is i", [1, 2, 3]), ("", [4]), ("é", [5]))
    source(BOB)
    while text_of(seen) != "Paris is ié":
        seen.append(await anext(events))
    await events.aclose()
    told = [
        each.token for event in seen if isinstance(event, AnswerPiece) for each in event.logprobs
    ]
    assert told == [1, 2, 3, 4, 5]


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
    results = [TaskResult(BOB, "Paris", "stop", 3, 1), TaskResult(ALICE, "P", "stop", 3, 1)]
    waiting = asyncio.ensure_future(wait_for_results(TASK.session_id, TASK.task_id, 5))
    source(ALICE)
    await miner(ALICE, "Paris")
    task_stream.write(task_stream.stage(TASK, TaskStatus.COMMITTED))
    task_stream.announce_results(TASK, results)
    assert await waiting == tuple(results)


async def test_a_failure_tells_its_reason(client: "redis.asyncio.Redis") -> None:
    task_stream.announce_failure(TASK, "miners_gone", "no miner is left for this task")
    with pytest.raises(TaskFailed, match="no miner is left") as raised:
        await read()
    assert raised.value.extra == {"reason": "miners_gone"}


async def test_a_task_that_ends_without_a_result_keeps_nobody_waiting(
    client: "redis.asyncio.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessions.streams.answer.END_GRACE_S", 0.1)
    task_stream.write(task_stream.stage(TASK, TaskStatus.ENDED))
    with pytest.raises(TaskFailed):
        await asyncio.wait_for(read(60), 5)


async def test_the_deadline_ends_the_waiting(client: "redis.asyncio.Redis") -> None:
    with pytest.raises(DeadlinePassed):
        await asyncio.wait_for(read(0.2), 10)


async def test_a_miners_nonsense_hurts_nobody(client: "redis.asyncio.Redis", miner: Miner) -> None:
    source(ALICE)
    key = task_stream.miner_stream_key(ALICE, "1")
    await client.xadd(key, {"junk": b"\xff\xfe"})
    await client.xadd(key, {"text": b"ok \xff"})
    await client.xadd(key, {"done": "", "finish_reason": "x", "prompt_tokens": "-5"})
    events = await read()
    assert text_of(events) == "ok �"
    assert events[-1] == AnswerDone(ALICE, "stop", 0, 0)


async def test_a_miner_that_never_stops_is_cut_off(
    miner: Miner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessions.streams.answer.MAX_TEXT_CHARACTERS", 10)
    source(ALICE)
    await miner(ALICE, "0123456789", "more", done=False)
    with pytest.raises(TaskFailed, match="10 characters"):
        await read()


async def test_a_broken_connection_to_redis_costs_nothing(
    client: "redis.asyncio.Redis", miner: Miner
) -> None:
    source(ALICE)
    await miner(ALICE, "one", done=False)
    following = asyncio.ensure_future(read(10))
    await asyncio.sleep(0.1)
    await client.client_kill_filter(_type="normal", skipme=True)
    await client.client_kill_filter(_type="pubsub", skipme=True)
    await miner(ALICE, " two")
    assert text_of(await asyncio.wait_for(following, 5)) == "one two"


async def test_losing_redis_is_a_clear_error(
    client: "redis.asyncio.Redis", settings: Settings
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        settings.REDIS_URL = f"redis://127.0.0.1:{nobody.getsockname()[1]}/0"
    with pytest.raises(RelayUnavailable):
        await asyncio.wait_for(read(30), 8)


async def test_another_redis_is_not_taken_for_the_one_that_was_lost(
    client: "redis.asyncio.Redis",
) -> None:
    following = asyncio.ensure_future(read(30))
    await asyncio.sleep(0.1)
    reader.current_reader()._run_id = "of another Redis"
    await client.client_kill_filter(_type="pubsub", skipme=True)
    with pytest.raises(RelayUnavailable):
        await asyncio.wait_for(following, 5)


async def test_followers_share_two_connections_that_end_a_while_after_the_last(
    client: "redis.asyncio.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "LINGER_S", 0.05)
    before = {one["id"] for one in await client.client_list()}

    async def added(expected: int) -> int:
        """How many there are more, once there are as many as expected, or never will be."""
        for _ in range(250):
            count = len({one["id"] for one in await client.client_list()} - before)
            if count == expected:
                break
            await asyncio.sleep(0.02)
        return count

    following = [asyncio.ensure_future(read(30)) for _ in range(50)]
    assert await added(2) == 2
    await asyncio.sleep(0.1)
    assert await added(2) == 2
    for one in following:
        one.cancel()
    await asyncio.gather(*following, return_exceptions=True)
    assert await added(0) == 0


async def test_a_key_that_is_no_stream_hurts_only_its_own_followers(
    client: "redis.asyncio.Redis", miner: Miner
) -> None:
    await client.set(task_stream.miner_stream_key(BOB, "1"), "no stream")
    other = Task(session_id=8, task_id=1, timeout_s=5)
    task_stream.announce_source(other, BOB, task_stream.miner_stream_key(BOB, "1"))
    wrong = asyncio.ensure_future(
        anext_of(answer_stream.follow_answer(other.session_id, other.task_id, 0.5))
    )
    source(ALICE)
    await miner(ALICE, "fine")
    assert text_of(await read()) == "fine"
    with pytest.raises((DeadlinePassed, RelayUnavailable)):
        await wrong
