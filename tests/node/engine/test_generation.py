"""A generation yields its answer in pieces."""

import threading

import pytest

from mining.node.engine.generation import (
    EngineFailed,
    FinishReason,
    Generation,
    GenerationRequest,
    GenerationResult,
)
from mining.node.engine.sampling import TokenLogprobs

RESULT = GenerationResult("one two three", (1, 2, 3), FinishReason.STOP, 4)


@pytest.fixture
def generation() -> Generation:
    return Generation(GenerationRequest([1], 8))


def test_iteration_gives_each_piece_as_it_comes(generation: Generation) -> None:
    pieces = iter(generation)
    generation.add_piece("one")
    assert next(pieces) == "one"
    threading.Timer(0.01, generation.add_piece, [" two"]).start()
    assert next(pieces) == " two"
    threading.Timer(0.01, generation.end, [RESULT]).start()
    assert list(pieces) == []


def test_an_answer_that_failed_gives_its_pieces_and_then_the_reason(
    generation: Generation,
) -> None:
    generation.add_piece("one")
    generation.end(EngineFailed("engine: no memory"))
    pieces = iter(generation)
    assert next(pieces) == "one"
    with pytest.raises(EngineFailed):
        next(pieces)


def test_who_watches_takes_all_that_is_there_as_one_piece(generation: Generation) -> None:
    told: list[str] = []
    generation.watch(lambda: told.append(generation.take().text))
    generation.add_piece("one")
    generation.add_piece(" two")
    assert told == []
    generation.tell()
    generation.tell()
    assert told == ["one two"]
    assert generation.outcome is None
    generation.end(RESULT)
    assert told == ["one two", ""]
    assert generation.outcome is RESULT


def test_log_probabilities_of_pieces_that_are_taken_together_stay_in_order(
    generation: Generation,
) -> None:
    rows = [TokenLogprobs(token, -1.0, ()) for token in (1, 2, 3)]
    generation.add_logprobs(rows[0])
    generation.add_logprobs(rows[1])
    generation.add_piece("one")
    generation.add_logprobs(rows[2])
    generation.add_piece(" two")
    assert generation.take() == ("one two", tuple(rows))


@pytest.mark.parametrize("ended", [False, True])
def test_who_watches_late_learns_of_what_was_there(generation: Generation, ended: bool) -> None:
    if ended:
        generation.end(RESULT)
    else:
        generation.add_piece("one")
    told: list[str] = []
    generation.watch(lambda: told.append(generation.take().text))
    assert told == ["" if ended else "one"]


def test_an_answer_without_text_has_no_pieces(generation: Generation) -> None:
    generation.end(RESULT)
    assert list(generation.pieces()) == []
