"""Slow and numerous followers: each gets its own entries, and unused streams are not read."""

import asyncio
from typing import Any

import pytest
import redis.asyncio

from sessions.streams import answer_stream
from sessions.streams import reader as stream_reader
from sessions.streams.answer import SourceChosen
from sessions.streams.buffer import characters_in
from tests.sessions.followed_task import (
    ALICE,
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


async def test_a_follower_that_falls_behind_loses_nothing(
    miner: Miner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessions.streams.buffer.KEPT_ENTRIES", 8)
    monkeypatch.setattr(stream_reader, "ENTRIES_A_READ", 4)
    source(ALICE)
    slow = answer_stream.follow_answer(TASK.session_id, TASK.task_id, 10)
    assert await anext(slow) == SourceChosen(ALICE)
    pieces = [f"{number} " for number in range(100)]
    quick = asyncio.ensure_future(read())
    await miner(ALICE, *pieces)
    assert text_of(await quick) == "".join(pieces)
    assert text_of(await anext_of(slow)) == "".join(pieces)


async def test_what_nobody_takes_is_not_read(
    client: "redis.asyncio.Redis", miner: Miner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessions.streams.buffer.KEPT_ENTRIES", 8)
    monkeypatch.setattr(stream_reader, "ENTRIES_A_READ", 4)
    async with stream_reader.current_reader().follower() as follower:
        follower.add("busy")
        for number in range(100):
            await client.xadd("busy", {"n": number})
        await asyncio.sleep(0.2)
        assert len(follower.cursors["busy"].stream.entries) <= 8
        seen: list[str] = []
        while len(seen) < 100:
            seen += [entry.fields["n"] for entry in (await follower.read(2))["busy"]]
        assert seen == [str(number) for number in range(100)]


async def test_every_follower_of_many_streams_gets_its_own(client: "redis.asyncio.Redis") -> None:
    async def follow(key: str) -> list[str]:
        async with stream_reader.current_reader().follower() as follower:
            follower.add(key)
            seen: list[str] = []
            while len(seen) < 30:
                seen += [entry.fields["n"] for entry in (await follower.read(5))[key]]
            return seen

    following = [asyncio.ensure_future(follow(f"many:{n % 40}")) for n in range(120)]
    for number in range(30):
        pipeline = client.pipeline(transaction=False)
        for stream in range(40):
            pipeline.xadd(f"many:{stream}", {"n": f"{stream}/{number}"})
        await pipeline.execute()
        await asyncio.sleep(0)
    for n, seen in enumerate(await asyncio.gather(*following)):
        assert seen == [f"{n % 40}/{number}" for number in range(30)]


async def test_who_comes_while_the_last_ones_connections_are_closed_is_read_for(
    client: "redis.asyncio.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_reader, "LINGER_S", 0.05)
    closing, go_on, right = asyncio.Event(), asyncio.Event(), stream_reader.close

    async def slow_close(*connections: Any) -> None:
        closing.set()
        await go_on.wait()
        await right(*connections)

    monkeypatch.setattr(stream_reader, "close", slow_close)
    reader = stream_reader.current_reader()
    async with reader.follower() as first:
        first.add("first")
    await asyncio.wait_for(closing.wait(), 5)
    await client.xadd("second", {"n": "1"})
    async with reader.follower() as second:
        second.add("second")
        go_on.set()
        found = await second.read(3)
        assert [entry.fields["n"] for entry in found["second"]] == ["1"]
        assert (await reader.history("second", "0-0"))[0].fields == {"n": "1"}


async def test_entries_of_any_size_take_no_more_memory_than_a_few(
    client: "redis.asyncio.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessions.streams.buffer.KEPT_CHARACTERS", 10_000)
    async with stream_reader.current_reader().follower() as follower:
        follower.add("busy")
        for number in range(50):
            await client.xadd("busy", {"n": number, "junk": "x" * 900})
        seen: list[str] = []
        while len(seen) < 50:
            seen += [entry.fields["n"] for entry in (await follower.read(2))["busy"]]
        assert seen == [str(number) for number in range(50)]
        buffer = follower.cursors["busy"].stream
        assert buffer.size <= 10_000
        assert buffer.size == sum(characters_in(entry.fields) for entry in buffer.entries)


async def test_a_stream_with_an_entry_beyond_every_bound_is_not_followed(
    client: "redis.asyncio.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_reader, "MAX_ENTRY_CHARACTERS", 1_000)
    async with stream_reader.current_reader().follower() as follower:
        follower.add("huge")
        follower.add("other")
        await client.xadd("huge", {"junk": "x" * 1_001})
        await client.xadd("other", {"n": "1"})
        assert list(await follower.read(2)) == ["other"]
        assert await follower.read(0.2) == {}
        assert follower.cursors["huge"].stream.entries == []
