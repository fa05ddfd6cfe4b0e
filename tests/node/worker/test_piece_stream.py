"""What a run of a job adds to its stream."""

import json

import pytest

from mining.node.engine.generation import FinishReason, GenerationResult
from mining.node.engine.sampling import TokenLogprobs
from mining.node.worker.piece_stream import Entry, PieceStream, StreamMismatch

RESULT = GenerationResult("one two", (1, 2, 3), FinishReason.STOP, 12)
END = {"done": "1", "finish_reason": "stop", "prompt_tokens": "12", "completion_tokens": "3"}


def test_pieces_are_numbered_and_the_end_has_the_figures() -> None:
    stream = PieceStream("key", 10, clock=lambda: 1_700_000_000.25)
    entries = [*stream.piece("one"), *stream.piece(" two"), *stream.done(RESULT)]
    assert [(entry.id, entry.fields) for entry in entries] == [
        ("1-0", {"text": "one", "at": "1700000000250"}),
        ("2-0", {"text": " two"}),
        ("3-0", END),
    ]
    assert [entry.is_edge for entry in entries] == [True, False, True]


def test_trimming_never_reaches_an_answer_of_the_length_that_was_asked_for() -> None:
    [entry] = PieceStream("key", 10).piece("one")
    assert entry.max_entries > 2 * 10


def test_log_probabilities_go_with_their_piece() -> None:
    told = TokenLogprobs(5, -0.25, ((5, -0.25),))
    [entry] = PieceStream("key", 10).piece("one", [told])
    assert json.loads(entry.fields["logprobs"]) == [[5, "-0.2500", [[5, "-0.2500"]]]]


def test_a_repeated_run_adds_only_what_was_missing() -> None:
    first = PieceStream("key", 10)
    there = [*first.piece("one"), *first.piece(" t")]
    again = PieceStream("key", 10, as_read(there))
    added = [again.piece("on"), again.piece("e tw"), again.piece("o"), again.done(RESULT)]
    assert [[(entry.id, entry.fields.get("text")) for entry in each] for each in added] == [
        [],
        [("3-0", "w")],
        [("4-0", "o")],
        [("5-0", None)],
    ]
    whole = PieceStream("key", 10, as_read([*there, *(each for new in added for each in new)]))
    assert whole.piece("one two") == whole.done(RESULT) == []


def test_a_repeated_run_tells_no_second_time() -> None:
    there = PieceStream("key", 10).piece("one")
    [entry] = PieceStream("key", 10, as_read(there)).piece("one two")
    assert entry.fields == {"text": " two"}


def test_a_repeated_run_that_differs_is_refused() -> None:
    there = as_read(PieceStream("key", 10).piece("one"))
    with pytest.raises(StreamMismatch, match="differs"):
        PieceStream("key", 10, there).piece("two")
    shorter = PieceStream("key", 10, there)
    shorter.piece("o")
    with pytest.raises(StreamMismatch, match="shorter"):
        shorter.done(RESULT)


def as_read(entries: list[Entry]) -> list[tuple[str, dict[str, str]]]:
    return [(entry.id, entry.fields) for entry in entries]
