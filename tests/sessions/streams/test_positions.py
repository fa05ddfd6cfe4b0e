"""A client that reconnects to an answer continues at its position."""

import zlib

import pytest

from sessions.errors import InvalidField, SourceDiverged
from sessions.streams import answer_stream
from sessions.streams.answer import AnswerPiece, AnswerPosition, StreamEvent
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


async def resumed(position: str) -> list[StreamEvent]:
    after = AnswerPosition.parse(position)
    return await anext_of(answer_stream.follow_answer(TASK.session_id, TASK.task_id, 5, after))


async def test_whoever_comes_back_gets_what_it_has_not_had(miner: Miner) -> None:
    source(ALICE)
    await miner(ALICE, "The ", "capital ", "is ", "Zürich")
    whole = await read()
    pieces = [event for event in whole if isinstance(event, AnswerPiece)]
    for number, piece in enumerate(pieces):
        rest = await resumed(piece.position)
        assert text_of(rest) == "".join(event.text for event in pieces[number + 1 :])
        assert rest[-1] == whole[-1]


async def test_a_position_holds_in_another_miners_stream(miner: Miner) -> None:
    source(ALICE)
    await miner(ALICE, "The capital", " of", done=False)
    events = answer_stream.follow_answer(TASK.session_id, TASK.task_id, 5)
    had = [await anext(events) for _ in range(2)]
    await events.aclose()
    source(BOB)
    await miner(BOB, "The cap", "ital of Fra", "nce")
    last = had[-1]
    assert isinstance(last, AnswerPiece)
    rest = await resumed(last.position)
    assert text_of(had + rest) == "The capital of France"


async def test_a_position_in_another_text_is_refused(miner: Miner) -> None:
    source(ALICE)
    await miner(ALICE, "The capital", " of")
    position = str(AnswerPosition(7, zlib.crc32(b"The tow")))
    with pytest.raises(SourceDiverged):
        await resumed(position)


async def test_a_position_beyond_the_end_is_refused(miner: Miner) -> None:
    source(ALICE)
    await miner(ALICE, "short")
    with pytest.raises(SourceDiverged):
        await resumed("700-00000000")


@pytest.mark.parametrize(
    "text", ["x", "-1-00000000", "1-", "1-zz", "1-123456789", "9" * 30, "1_0-"]
)
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(InvalidField):
        AnswerPosition.parse(text)
