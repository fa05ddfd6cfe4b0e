"""Writes many answers into their streams at a time."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from mining.node.engine.generation import (
    Cancelled,
    FinishReason,
    Generation,
    GenerationRequest,
    GenerationResult,
)
from mining.node.worker.mailbox import Mailbox
from mining.node.worker.piece_stream import Entry, PieceStream, StreamMismatch
from mining.node.worker.piece_writer import PieceWriter, Writing

RESULT = GenerationResult("one two", (1, 2), FinishReason.STOP, 4)


class Recorded(Mailbox):
    """A mailbox whose Redis takes what it is told to take. Real ones are in `test_mailbox`."""

    def __init__(self) -> None:
        self.appended: list[list[str]] = []
        self.refused: set[str] = set()
        self.is_away = False
        self.open = threading.Event()
        self.open.set()

    def append(self, entries: Sequence[Entry]) -> list[StreamMismatch | None]:
        self.open.wait(5)
        if self.is_away:
            raise RedisConnectionError("away")
        if entries:
            said = [f"{entry.key} {entry.fields.get('text', 'done')}" for entry in entries]
            self.appended.append(said)
        return [StreamMismatch("no") if entry.key in self.refused else None for entry in entries]


@pytest.fixture
def mailbox() -> Recorded:
    return Recorded()


@pytest.fixture
def writer(mailbox: Recorded) -> Iterator[PieceWriter]:
    writer = PieceWriter(mailbox)
    yield writer
    mailbox.open.set()
    writer.close()


class CountingQueue:
    """Counts what is put, and hands nothing out."""

    count = 0

    def put(self, _: object) -> None:
        self.count += 1


def wait_until(is_true: Callable[[], bool]) -> None:
    until = time.monotonic() + 5
    while not is_true() and time.monotonic() < until:
        time.sleep(0.001)


def new_generation() -> Generation:
    return Generation(GenerationRequest([1], 8))


def say(generation: Generation, *pieces: str) -> None:
    for piece in pieces:
        generation.add_piece(piece)
    generation.tell()


def begun(writer: PieceWriter) -> tuple[Generation, Writing]:
    """An answer whose first piece is written."""
    generation = new_generation()
    writing = writer.write(generation, PieceStream("a", 8))
    say(generation, "one")
    assert writing.begins_within(5)
    return generation, writing


def test_the_first_piece_is_written_at_once_and_what_follows_is_gathered(
    writer: PieceWriter, mailbox: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mining.node.worker.piece_writer.GATHER_S", 30)
    generation, writing = begun(writer)
    say(generation, " two")
    time.sleep(0.05)  # it gathers now
    say(generation, " three")
    generation.end(RESULT)  # the end does not wait
    assert writing.generation.result(5) is RESULT
    wait_until(lambda: len(mailbox.appended) == 2)
    assert writing.result() is RESULT
    assert mailbox.appended == [["a one"], ["a  two three", "a done"]]


def test_while_it_gathers_a_further_token_does_not_wake_it(
    writer: PieceWriter, mailbox: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mining.node.worker.piece_writer.GATHER_S", 30)
    generation, _ = begun(writer)
    say(generation, " two")
    time.sleep(0.05)
    wakes = CountingQueue()
    monkeypatch.setattr(writer, "_wake", wakes)
    for _ in range(3):
        say(generation, " more")
    assert wakes.count == 0
    monkeypatch.undo()


def test_pieces_that_nobody_waits_for_are_written_after_a_moment(
    writer: PieceWriter, mailbox: Recorded
) -> None:
    generation = new_generation()
    writing = writer.write(generation, PieceStream("a", 8))
    say(generation, "one")
    writing.begins_within(5)
    say(generation, " two")
    wait_until(lambda: len(mailbox.appended) == 2)
    assert mailbox.appended == [["a one"], ["a  two"]]


def test_a_step_of_many_answers_is_one_round_trip(writer: PieceWriter, mailbox: Recorded) -> None:
    mailbox.open.clear()
    answers = [new_generation() for _ in range(4)]
    writings = [
        writer.write(answer, PieceStream(name, 8))
        for name, answer in zip("abcd", answers, strict=True)
    ]
    for answer in answers:
        say(answer, "one")
    mailbox.open.set()
    assert all(writing.begins_within(5) for writing in writings)
    assert sum(map(len, mailbox.appended)) == 4
    assert len(mailbox.appended) <= 2


def test_an_answer_that_failed_is_written_as_far_as_it_came(
    writer: PieceWriter, mailbox: Recorded
) -> None:
    generation = new_generation()
    writing = writer.write(generation, PieceStream("a", 8))
    generation.add_piece("one")
    generation.end(Cancelled("generation: it was cancelled"))
    with pytest.raises(Cancelled):
        writing.result()
    with pytest.raises(Cancelled):
        writing.begins_within(0)
    assert mailbox.appended == [["a one"]]


def test_one_stream_that_is_refused_costs_the_others_nothing(
    writer: PieceWriter, mailbox: Recorded
) -> None:
    mailbox.refused = {"a"}
    mailbox.open.clear()
    answers = [new_generation() for _ in range(3)]
    other_text = PieceStream("b", 8, [("1-0", {"text": "two"})])
    streams = PieceStream("a", 8), other_text, PieceStream("c", 8)
    writings = list(map(writer.write, answers, streams))
    for answer in answers:
        answer.add_piece("one")
        answer.end(RESULT)
    mailbox.open.set()
    for writing in writings[:2]:
        with pytest.raises(StreamMismatch):
            writing.result()
    assert writings[2].result() is RESULT


def test_an_answer_that_cannot_be_written_ends_and_the_next_one_can(
    writer: PieceWriter, mailbox: Recorded
) -> None:
    mailbox.is_away = True
    generation = new_generation()
    writing = writer.write(generation, PieceStream("a", 8))
    say(generation, "one")
    with pytest.raises(RedisConnectionError):
        writing.result()
    mailbox.is_away = False
    say(generation, " two")  # nobody writes it any more
    after = new_generation()
    written = writer.write(after, PieceStream("b", 8))
    say(after, "one")
    after.end(RESULT)
    assert written.result() is RESULT
    assert [said for batch in mailbox.appended for said in batch] == ["b one", "b done"]


def test_what_is_there_when_it_stops_is_written(mailbox: Recorded) -> None:
    writer = PieceWriter(mailbox)
    generation = new_generation()
    writing = writer.write(generation, PieceStream("a", 8))
    say(generation, "one")
    generation.end(RESULT)
    writer.close()
    assert writing.result() is RESULT


def test_what_was_gathered_when_it_stops_is_written(
    mailbox: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mining.node.worker.piece_writer.GATHER_S", 30)
    writer = PieceWriter(mailbox)
    generation, _ = begun(writer)
    say(generation, " two")
    writer.close()
    assert mailbox.appended == [["a one"], ["a  two"]]
