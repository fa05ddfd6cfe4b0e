"""The engine's answers: where they end, their constraints, and their log-probabilities."""

import json
import math
from typing import Any

import numpy as np
import pytest

from mining.node.engine import sampling
from mining.node.engine.batch_engine import Engine
from mining.node.engine.generation import (
    EngineFailed,
    FinishReason,
    GenerationError,
    GrammarFailed,
    GrammarTooSlow,
)
from mining.node.engine.grammar import Grammar, GrammarInvalid
from mining.node.llm.llama import Context
from mining.node.protocol.sampling_params import SamplingParams
from tests.node.generation_requests import endless, request


class Panic(BaseException):
    """What a panic of Rust is to Python."""


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
        either = request(engine, seed, grammar='start: "hen" | "inn, the inn"')
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
    asked = request(engine, 5, grammar=f"start: %json {json.dumps(schema)}", max_tokens=300)
    answers = [engine.submit(asked).result() for _ in range(2)]
    assert answers[0] == answers[1]
    read = json.loads(answers[0].text)
    assert read["n"] in (1, 2, 3)
    assert isinstance(read["ok"], bool)


@pytest.mark.parametrize(
    "grammar",
    [
        'start: "',
        "leaf: /[a-z]/",
        "\0",
        "x" * 300_000,
        'root ::= "a"',
        'start: %json {"type": "mystery"}',
        'start: %json {"type": "string", "pattern": "^[b-a]$"}',
        "start: " + "(" * 20_000 + '"a"' + ")" * 20_000,
    ],
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
    generation.shorten(0)
    result = generation.result(30)
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


# What no token can say, what asks for endless work, what never says anything: each had ended, or
# could have ended, the process.
HOSTILE = {
    "a NUL": ('start: %json {"enum": ["a\\u0000b"]}', None),
    "endless recursion": ('start: "a" start', "grammar_failed"),
    "nothing but itself": ("start: start", "grammar_failed"),
    "what no text is": (r'start: "a" /[^\x00-\x{10FFFF}]/', "grammar_failed"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_grammar_costs_its_own_answer_alone(engine: Engine, name: str) -> None:
    grammar, code = HOSTILE[name]
    hostile = engine.submit(request(engine, 1, grammar=grammar))
    other = engine.submit(request(engine, 2))
    if code is None:
        assert hostile.result(5).finish_reason is FinishReason.STOP
    else:
        with pytest.raises(GenerationError) as failed:
            hostile.result(5)
        assert failed.value.code == code
    assert other.result(5).text


def test_a_string_with_a_nul_is_said_as_json_says_it(engine: Engine) -> None:
    asked = request(engine, 1, grammar='start: %json {"enum": ["a\\u0000b"]}')
    assert json.loads(engine.submit(asked).result(5).text) == "a\0b"


@pytest.mark.parametrize("thrown", [SystemError, Panic])
def test_whatever_the_library_throws_ends_the_answer_and_no_other(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, thrown: type[BaseException]
) -> None:
    class Broken:
        def unsafe_compute_mask_ptr(self, *_: object) -> None:
            raise thrown("index out of bounds")

    whole = Grammar.__init__

    def breaks(grammar: Grammar, *args: Any) -> None:
        whole(grammar, *args)
        grammar._matcher = Broken()  # type: ignore[assignment]

    monkeypatch.setattr(Grammar, "__init__", breaks)
    broken = engine.submit(request(engine, 1, grammar='start: "a"'))
    other = engine.submit(request(engine, 2))
    with pytest.raises(GrammarFailed, match="index out of bounds"):
        broken.result(5)
    assert other.result(5).text


def test_an_answer_whose_grammar_keeps_the_others_waiting_ends(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mining.node.engine.batch_engine.SLOWEST_GRAMMAR_S", 0.0)
    slow = engine.submit(request(engine, 1, grammar="start: /[a-z ]*/"))
    other = engine.submit(request(engine, 2))
    with pytest.raises(GrammarTooSlow, match="simplify"):
        slow.result(5)
    assert other.result(5).text


def test_what_goes_wrong_in_one_sequence_ends_no_other(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = sampling.draw

    def fails(*args: Any, **given: Any) -> int:
        if given["seed"] == b"broken":
            raise ZeroDivisionError("at its third token")
        return draw(*args, **given)

    monkeypatch.setattr(sampling, "draw", fails)
    broken = engine.submit(request(engine, 1, seed=b"broken"))
    other = engine.submit(request(engine, 2))
    with pytest.raises(EngineFailed, match="third token"):
        broken.result(5)
    assert other.result(5).text


def test_logits_that_are_no_numbers_are_a_failure_by_name(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = np.full(engine._model.vocabulary_size, np.nan, np.float32)
    monkeypatch.setattr(Context, "logits", lambda *_: none)
    with pytest.raises(EngineFailed, match="not finite"):
        engine.submit(request(engine, 1)).result(5)


@pytest.mark.parametrize("token", [-1, 10**6, 2**31, 2**70])
def test_a_token_that_the_model_does_not_have_reaches_no_native_code(
    engine: Engine, token: int
) -> None:
    with pytest.raises(ValueError, match="does not have"):
        engine.submit(request(engine, 1, prompt_tokens=[1, token]))
    with pytest.raises(ValueError, match="does not have"):
        engine.embed([[token]])
    free = engine.submit(request(engine, 2)).result()
    drafted = request(engine, 2, draft=[*free.token_ids[:3], token])
    assert engine.submit(drafted).result() == free
