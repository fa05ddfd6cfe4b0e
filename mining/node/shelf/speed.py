"""Measures how fast this machine runs a model, for the command `bench`."""

import time
from collections.abc import Callable, Iterator

from mining.node.config import NodeConfig
from mining.node.engine.generation import GenerationRequest
from mining.node.protocol.sampling_params import SamplingParams
from mining.node.shelf.serving import open_shelf
from mining.node.shelf.shelf import TextEngine

PROMPT_TOKENS, ANSWER_TOKENS = 32, 64


def measure(
    config: NodeConfig, progress: Callable[[str, float], None]
) -> Iterator[tuple[int, float]]:
    """Measure the first model with 1, 2, 4 … requests at once, up to the node's slots.

    Yield the number of requests and their total speed in tokens per second. Raises
    ModelSourceError, LlamaError, NotEnoughMemory or ModelUnavailable.
    """
    first = config.models[0].identifier
    shelf = open_shelf(config, {}, progress)
    try:
        with shelf.take(first, 0) as place:
            engine, clients = place.engine(), 1
            while clients <= config.slots:
                yield clients, _speed(engine, clients)
                clients *= 2
    finally:
        shelf.close()


def _speed(engine: TextEngine, clients: int) -> float:
    warm = SamplingParams(temperature=0.8, top_k=40, top_p=0.95)
    requests = [
        GenerationRequest(
            [(clients * 31 + number * 7 + at) % 200 + 3 for at in range(PROMPT_TOKENS)],
            ANSWER_TOKENS,
            warm,
            seed=number.to_bytes(4, "big"),
        )
        for number in range(clients)
    ]
    started = time.perf_counter()
    running = [engine.submit(request) for request in requests]
    tokens = sum(generation.result().completion_tokens for generation in running)
    return tokens / (time.perf_counter() - started)
