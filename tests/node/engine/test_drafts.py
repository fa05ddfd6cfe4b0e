"""A draft of an answer's tokens makes the answer faster, and never changes it."""

import numpy as np
import pytest

from mining.node.engine.batch_engine import Engine
from mining.node.engine.generation import FinishReason, GenerationResult
from mining.node.llm.llama import Context, Run
from tests.node.generation_requests import WARM, endless, request


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each step since then has read."""
    counts: list[int] = []
    decode = Context.decode

    def counted(context: Context, runs: list[Run]) -> None:
        counts.append(sum(len(run.tokens) for run in runs))
        decode(context, runs)

    monkeypatch.setattr(Context, "decode", counted)
    return counts


def made(engine: Engine, number: int, **changes: object) -> GenerationResult:
    return engine.submit(request(engine, number, **changes)).result()


def test_an_answer_that_is_told_in_advance_takes_few_steps(
    engine: Engine, steps: list[int]
) -> None:
    slow = endless(engine)
    answer = engine.submit(slow).result()
    steps.clear()
    again = engine.submit(request(engine, 0, **vars(slow) | {"draft": answer.token_ids})).result()
    assert again == answer
    assert len(steps) < 10


@pytest.mark.parametrize("number", range(8))
def test_a_wrong_token_and_what_is_behind_it_change_nothing(engine: Engine, number: int) -> None:
    answer = made(engine, number)
    tokens = list(answer.token_ids)
    for wrong in {0, 1, len(tokens) // 2, len(tokens) - 1} & set(range(len(tokens))):
        draft = [*tokens[:wrong], (tokens[wrong] + 1) % 200, *tokens[wrong + 1 :]]
        assert made(engine, number, draft=draft) == answer
    assert made(engine, number, draft=tokens[: len(tokens) // 2]) == answer
    assert made(engine, number, draft=[*tokens, 1, 2, 3]) == answer


@pytest.mark.parametrize("token", [-1, 2**31, 10**30])
def test_a_token_that_the_model_does_not_have_is_no_draft(engine: Engine, token: int) -> None:
    answer = made(engine, 1)
    assert made(engine, 1, draft=[*answer.token_ids[:3], token, 4]) == answer


def test_a_draft_longer_than_the_answer_may_be_is_cut(engine: Engine, steps: list[int]) -> None:
    short = made(engine, 1, max_tokens=3)
    assert short.finish_reason is FinishReason.LENGTH
    steps.clear()
    assert made(engine, 1, max_tokens=3, draft=[*short.token_ids, *[5] * 400]) == short
    assert sum(steps) < 100


def test_with_a_draft_penalties_grammar_and_log_probabilities_are_what_they_are_without(
    engine: Engine,
) -> None:
    sampling = type(WARM)(**vars(WARM) | {"frequency_penalty": 0.5, "presence_penalty": 0.2})
    grammar = 'start: %json {"type": "object", "properties": {"a": {"type": "integer"}}}'
    asked: dict[str, object] = {"sampling": sampling, "grammar": grammar, "logprobs": 2}
    answer = made(engine, 3, **asked)
    again = made(engine, 3, **asked, draft=answer.token_ids)
    assert (again.text, again.token_ids) == (answer.text, answer.token_ids)
    told = [[each.logprob for each in result.logprobs] for result in (again, answer)]
    np.testing.assert_allclose(*told, atol=0.05)


def test_a_shortened_answer_with_a_draft_ends_with_the_same_token(engine: Engine) -> None:
    asked = endless(engine)
    whole = engine.submit(asked).result()
    cut = []
    for draft in ((), whole.token_ids):
        generation = engine.submit(request(engine, 0, **vars(asked) | {"draft": draft}))
        generation.shorten(40)
        cut.append(generation.result())
    assert len(cut[1].text) >= 40
    assert len(cut[1].text) < len(whole.text)
    assert cut[0].finish_reason is cut[1].finish_reason is FinishReason.CANCELLED
    assert cut[1].token_ids == whole.token_ids[: len(cut[1].token_ids)]


def test_answers_with_and_without_drafts_are_made_beside_each_other(engine: Engine) -> None:
    alone = [made(engine, number) for number in range(8)]
    generations = [
        engine.submit(request(engine, number, draft=answer.token_ids if number % 2 else ()))
        for number, answer in enumerate(alone)
    ]
    assert [generation.result().token_ids for generation in generations] == [
        answer.token_ids for answer in alone
    ]
