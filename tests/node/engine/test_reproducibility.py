"""A quantised model's answer is bit for bit the same, whatever else its engine runs."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from mining.node.engine.batch_engine import Engine
from mining.node.engine.batching import TILE_TOKENS
from mining.node.engine.generation import GenerationRequest
from mining.node.llm.prompts import PLAIN
from tests.node import tiny_model
from tests.node.generation_requests import WARM

WORDS = ("the ", "hen ", "inn ", "a ", "7 ", "then ", "ink ")


@pytest.fixture(scope="module")
def quantised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.write(tmp_path_factory.mktemp("models") / "q8.gguf", quantised=True)


@pytest.fixture
def crowded(quantised: Path) -> Iterator[Engine]:
    engine = Engine(quantised, slots=9)
    yield engine
    engine.close()


def asked(engine: Engine, number: int) -> GenerationRequest:
    """Prompts of very different length, some of which begin alike."""
    chance = random.Random(number)
    words = chance.choices(WORDS, k=chance.choice((2, 12, 30, 60, 90)))
    shared = "the hen is in the inn, and the ink is in the hen; " * (number % 3 * 2)
    tokens = engine.prompts.tokenise(shared + "".join(words), PLAIN)
    return GenerationRequest(tokens, 60, WARM, seed=bytes([number]) * 32, logprobs=3)


def alone(path: Path, request: GenerationRequest) -> object:
    engine = Engine(path, slots=1)
    try:
        return engine.submit(request).result()
    finally:
        engine.close()


def test_answers_in_a_crowd_are_those_of_engines_with_nothing_else_to_do(
    quantised: Path, crowded: Engine
) -> None:
    requests = [asked(crowded, number) for number in range(40)]
    lengths = [len(request.prompt_tokens) for request in requests]
    assert min(lengths) < TILE_TOKENS < 3 * TILE_TOKENS < max(lengths)
    generations = [crowded.submit(request) for request in requests]
    together = [generation.result() for generation in generations]
    assert crowded.shared_tokens > 0
    assert together == [alone(quantised, request) for request in requests]


def test_a_conversation_that_goes_on_is_as_if_it_were_read_for_the_first_time(
    quantised: Path, crowded: Engine
) -> None:
    said = crowded.prompts.tokenise("the hen is in the inn, and the ink is not " * 4, PLAIN)
    for number in range(4):
        request = GenerationRequest(said, 30, WARM, seed=bytes([number]) * 32, logprobs=1)
        answer = crowded.submit(request).result()
        assert answer == alone(quantised, request)
        said = [*said, *answer.token_ids, *crowded.prompts.tokenise(" and then", PLAIN)]
    assert crowded.shared_tokens > 0


def test_an_answer_checked_by_its_draft_is_the_answer(quantised: Path, crowded: Engine) -> None:
    for number in range(12):
        request = asked(crowded, number)
        answer = crowded.submit(request).result()
        draft = GenerationRequest(**vars(request) | {"draft": answer.token_ids})
        assert alone(quantised, draft) == answer
