"""The engine's embeddings equal those of llama-cpp-python."""

import threading
import time
from collections.abc import Iterator

import llama_cpp
import numpy as np
import pytest

from mining.node.config import SHIPPED_MODEL
from mining.node.engine.batch_engine import Engine
from mining.node.engine.generation import EngineClosed, GenerationRequest
from mining.node.llm.embedding import SEQUENCES, Vector
from mining.node.llm.prompts import PLAIN, ContextExceeded

TEXTS = [
    "What is 12 + 13?",
    "What is 12 + 14?",
    "It is twenty-five.",
    "A dog is an animal that barks, and a cat is an animal that does not.",
]


@pytest.fixture(scope="module")
def shipped() -> Iterator[Engine]:
    engine = Engine(SHIPPED_MODEL, slots=2)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def reference() -> Iterator[llama_cpp.Llama]:
    llama = llama_cpp.Llama(
        str(SHIPPED_MODEL),
        embedding=True,
        pooling_type=llama_cpp.LLAMA_POOLING_TYPE_MEAN,
        n_ctx=512,
        verbose=False,
    )
    yield llama
    llama.close()


def tokens(engine: Engine, text: str) -> list[int]:
    return engine.prompts.tokenise(text, PLAIN)


def expected(reference: llama_cpp.Llama, text: str) -> Vector:
    vector = np.array(reference.create_embedding(text)["data"][0]["embedding"], np.float32)
    unit: Vector = vector / np.linalg.norm(vector)
    return unit


def test_vectors_are_those_of_create_embedding(shipped: Engine, reference: llama_cpp.Llama) -> None:
    assert tokens(shipped, TEXTS[0]) == reference.tokenize(TEXTS[0].encode())
    for text, vector in zip(TEXTS, shipped.embed([tokens(shipped, t) for t in TEXTS]), strict=True):
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
        assert vector == pytest.approx(expected(reference, text), abs=1e-3)


def test_a_vector_does_not_depend_on_what_is_embedded_beside_it(shipped: Engine) -> None:
    many = [tokens(shipped, f"What is {n} + 13?") * (1 + n % 5) for n in range(3 * SEQUENCES)]
    together = shipped.embed(many)
    for prompt, vector in zip(many, together, strict=True):
        (alone,) = shipped.embed([prompt])
        assert vector == pytest.approx(alone, abs=1e-3)


def test_what_is_alike_is_nearer(shipped: Engine) -> None:
    first, second, *_, other = shipped.embed([tokens(shipped, text) for text in TEXTS])
    assert float(first @ second) > float(first @ other)


def test_the_longest_text_fits_and_a_longer_one_is_refused_before_any_work(
    shipped: Engine,
) -> None:
    room = shipped.prompts.context_tokens
    assert len(shipped.embed([[70] * room, [70]])) == 2
    with pytest.raises(ContextExceeded):
        shipped.embed([[70], [70] * (room + 1)])
    with pytest.raises(ValueError, match="empty"):
        shipped.embed([[]])
    assert shipped.embed([]) == []


def test_embedding_and_generating_do_not_change_each_other(shipped: Engine) -> None:
    request = GenerationRequest(tokens(shipped, TEXTS[0]), 60)
    answer = shipped.submit(request).result(20)
    (vector,) = shipped.embed([tokens(shipped, TEXTS[3])])
    stop = threading.Event()
    answers = []

    def generate() -> None:
        while not stop.is_set():
            answers.append(shipped.submit(request).result(20))

    thread = threading.Thread(target=generate)
    thread.start()
    until = time.monotonic() + 0.5
    while time.monotonic() < until or not answers:
        assert (shipped.embed([tokens(shipped, TEXTS[3])])[0] == vector).all()
    stop.set()
    thread.join(20)
    assert set(answers) == {answer}


def test_a_closed_engine_embeds_nothing() -> None:
    engine = Engine(SHIPPED_MODEL, slots=1)
    assert engine.embed([[70]])
    engine.close()
    with pytest.raises(EngineClosed):
        engine.embed([[70]])
