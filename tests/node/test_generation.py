"""How an answer's pieces come out of a generation."""

import threading
import time

import pytest

from mining.node.generation import (
    EngineFailed,
    FinishReason,
    Generation,
    GenerationRequest,
    GenerationResult,
)

RESULT = GenerationResult("one two three", (1, 2, 3), FinishReason.STOP, 4)


@pytest.fixture
def generation() -> Generation:
    return Generation(GenerationRequest([1], 8))


def test_the_first_piece_comes_at_once_and_the_next_together(generation: Generation) -> None:
    pieces = generation.pieces(gather_s=1)
    generation.add_piece("one")
    started = time.monotonic()
    assert next(pieces).text == "one"
    assert time.monotonic() - started < 1
    threading.Timer(0.01, generation.add_piece, [" two"]).start()
    threading.Timer(0.02, generation.add_piece, [" three"]).start()
    assert next(pieces).text == " two three"


def test_a_piece_that_comes_later_than_the_gathering_is_not_kept_back(
    generation: Generation,
) -> None:
    pieces = generation.pieces(gather_s=0.01)
    generation.add_piece("one")
    next(pieces)
    threading.Timer(0.1, generation.add_piece, [" two"]).start()
    assert next(pieces).text == " two"


def test_the_end_does_not_wait_for_the_gathering(generation: Generation) -> None:
    pieces = generation.pieces(gather_s=30)
    generation.add_piece("one")
    assert next(pieces).text == "one"
    generation.add_piece(" two three")
    threading.Timer(0.02, generation.end, [RESULT]).start()
    assert [piece.text for piece in pieces] == [" two three"]
    assert generation.result() is RESULT


def test_an_answer_that_failed_gives_its_pieces_and_then_the_reason(
    generation: Generation,
) -> None:
    generation.add_piece("one")
    generation.end(EngineFailed("engine: no memory"))
    pieces = generation.pieces()
    assert next(pieces).text == "one"
    with pytest.raises(EngineFailed):
        next(pieces)


def test_an_answer_without_text_has_no_pieces(generation: Generation) -> None:
    generation.end(RESULT)
    assert list(generation.pieces()) == []
