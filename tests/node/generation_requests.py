"""Requests to the tiny model."""

from mining.node.engine.batch_engine import Engine
from mining.node.engine.generation import (
    GenerationRequest,
)
from mining.node.llm.prompts import PLAIN
from mining.node.protocol.sampling_params import SamplingParams

WARM = SamplingParams(temperature=0.9, top_p=0.95, top_k=50)


def request(engine: Engine, number: int, **changes: object) -> GenerationRequest:
    values: dict[str, object] = {
        "prompt_tokens": engine.prompts.tokenise(f"{number}: the hen is in the inn", PLAIN),
        "max_tokens": 40,
        "sampling": WARM,
        "seed": number.to_bytes(32, "big"),
    }
    return GenerationRequest(**{**values, **changes})  # type: ignore[arg-type]


def endless(engine: Engine, seed: int = 1, **changes: object) -> GenerationRequest:
    """Return a request whose answer has hundreds of tokens and does not end early."""
    for candidate in range(seed, seed + 50):
        long = request(engine, candidate, max_tokens=450, **changes)
        if engine.submit(long).result().completion_tokens == 450:
            return long
    raise AssertionError("every seed ends early")
