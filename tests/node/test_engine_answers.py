"""What an answer of the engine is: where it ends, what it keeps to, what is told of its tokens."""

import json
import math
import time

import pytest

from mining.node.engine import Engine
from mining.node.generation import (
    FinishReason,
    GrammarTooSlow,
)
from mining.node.grammar import GrammarInvalid, from_json_schema
from mining.node.sampling import SamplingParams
from tests.node.generation_requests import endless, request


def test_max_tokens_ends_an_answer(engine: Engine) -> None:
    long = endless(engine)
    result = engine.submit(
        request(engine, 0, prompt_tokens=long.prompt_tokens, seed=long.seed, max_tokens=7)
    ).result()
    assert (result.completion_tokens, result.finish_reason) == (7, FinishReason.LENGTH)


def test_a_stop_string_ends_an_answer_and_is_not_part_of_it(engine: Engine) -> None:
    free = engine.submit(request(engine, 6)).result()
    stop = free.text[10:14]
    generation = engine.submit(request(engine, 6, stop=[stop]))
    text = "".join(generation)
    assert generation.result().finish_reason is FinishReason.STOP
    assert text == free.text.split(stop)[0]
    assert generation.result().token_ids == free.token_ids[: len(generation.result().token_ids)]


def test_log_probabilities_are_the_models_own(engine: Engine) -> None:
    result = engine.submit(request(engine, 3, logprobs=5, max_tokens=12)).result()
    assert len(result.logprobs) == result.completion_tokens
    for token, told in zip(result.token_ids, result.logprobs, strict=True):
        assert told.token == token
        values = [value for _, value in told.top]
        assert len(values) == 5
        assert values == sorted(values, reverse=True)
        assert told.logprob <= values[0] <= 0
    everything = request(engine, 3, logprobs=engine._model.vocabulary_size, max_tokens=1)
    (told,) = engine.submit(everything).result().logprobs
    assert sum(math.exp(value) for _, value in told.top) == pytest.approx(1, abs=1e-5)


def test_a_bias_forbids_and_forces(engine: Engine) -> None:
    free = engine.submit(request(engine, 4)).result()
    banned = {free.token_ids[0]: -100.0}
    without = SamplingParams(0.9, 0.95, 50, logit_bias=banned)
    assert (
        free.token_ids[0]
        not in engine.submit(request(engine, 4, sampling=without)).result().token_ids
    )
    forced = SamplingParams(0.9, 0.95, 50, logit_bias={70: 100.0})
    assert set(engine.submit(request(engine, 4, sampling=forced)).result().token_ids) == {70}


def test_an_answer_keeps_to_its_grammar(engine: Engine) -> None:
    for seed in range(5):
        either = request(engine, seed, grammar='root ::= "hen" | "inn, the inn"')
        result = engine.submit(either).result()
        assert result.text in ("hen", "inn, the inn")
        assert result.finish_reason is FinishReason.STOP


def test_an_answer_keeps_to_a_json_schema(engine: Engine) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"enum": [1, 2, 3]}, "ok": {"type": "boolean"}},
        "required": ["n", "ok"],
        "additionalProperties": False,
    }
    asked = request(engine, 5, grammar=from_json_schema(schema), max_tokens=300)
    answers = [engine.submit(asked).result() for _ in range(2)]
    assert answers[0] == answers[1]
    read = json.loads(answers[0].text)
    assert read["n"] in (1, 2, 3)
    assert isinstance(read["ok"], bool)


@pytest.mark.parametrize(
    "grammar", ['root ::= "', "leaf ::= [a-z]", "\0", "x" * 100_000, "root ::= root"]
)
def test_what_is_no_grammar_is_refused_before_any_work(engine: Engine, grammar: str) -> None:
    with pytest.raises(GrammarInvalid):
        engine.submit(request(engine, 1, grammar=grammar))


def test_an_answer_that_is_shortened_ends_with_the_token_that_makes_it_long_enough(
    engine: Engine,
) -> None:
    long = endless(engine)
    whole = engine.submit(long).result()
    generation = engine.submit(long)
    generation.shorten(40)
    result = generation.result(5)
    assert result.finish_reason is FinishReason.CANCELLED
    assert len(result.text) >= 40
    assert whole.text.startswith(result.text)
    assert result.token_ids == whole.token_ids[: result.completion_tokens]


def test_an_answer_that_is_long_enough_already_ends_at_the_next_step_and_frees_its_slot(
    engine: Engine,
) -> None:
    generation = engine.submit(endless(engine))
    pieces = iter(generation)
    first = next(pieces)
    started = time.monotonic()
    generation.shorten(0)
    result = generation.result(5)
    assert time.monotonic() - started < 1.0
    assert result.finish_reason is FinishReason.CANCELLED
    assert first + "".join(pieces) == result.text
    assert not engine._active


def test_an_answer_that_ends_by_itself_is_not_shortened(engine: Engine) -> None:
    short = request(engine, 7, max_tokens=3)
    generation = engine.submit(short)
    generation.shorten(10_000)
    assert generation.result(5) == engine.submit(short).result(5)


def test_pieces_carry_the_log_probabilities_of_their_tokens(engine: Engine) -> None:
    generation = engine.submit(request(engine, 3, logprobs=2, max_tokens=12))
    pieces = list(generation.pieces())
    result = generation.result()
    told = [each for piece in pieces for each in piece.logprobs]
    assert "".join(piece.text for piece in pieces) == result.text
    assert tuple(told) == result.logprobs[: len(told)]
    assert len(told) >= result.completion_tokens - 1


@pytest.mark.parametrize("nest", ["({})", "({})?"])
def test_a_grammar_that_would_overflow_llama_cpps_stack_is_refused(
    engine: Engine, nest: str
) -> None:
    before, after = nest.split("{}")
    text = f'root ::= {before * 20_000}"a"{after * 20_000}'
    with pytest.raises(GrammarInvalid, match="nested"):
        engine.submit(request(engine, 1, grammar=text))
    quoted = 'root ::= "' + "(" * 1_000 + '" [(((] # ((('
    assert engine.submit(request(engine, 1, grammar=quoted, max_tokens=4)).result(5)


def test_an_answer_whose_grammar_keeps_the_others_waiting_ends(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mining.node.engine.SLOWEST_GRAMMAR_S", 0.0)
    slow = engine.submit(request(engine, 1, grammar="root ::= [a-z ]*"))
    other = engine.submit(request(engine, 2))
    with pytest.raises(GrammarTooSlow, match="simplify"):
        slow.result(5)
    assert other.result(5).text
