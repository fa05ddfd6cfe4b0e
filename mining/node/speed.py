"""How fast this machine is with a model: what `bench` prints."""

import time
from collections.abc import Callable, Iterator
from functools import partial

from mining.node.config import NodeConfig
from mining.node.engine import Engine
from mining.node.generation import GenerationRequest
from mining.node.model_source import locate
from mining.node.sampling import SamplingParams

PROMPT_TOKENS, ANSWER_TOKENS = 32, 64


def measure(
    config: NodeConfig, progress: Callable[[str, float], None]
) -> Iterator[tuple[int, float]]:
    """Tokens per second with 1, 2, 4 … requests at once, up to the node's slots.

    Raises ModelSourceError or LlamaError.
    """
    engine = Engine(
        locate(config.model),
        slots=config.slots,
        threads=config.threads,
        context_tokens=config.context_tokens,
        gpu_layers=config.gpu_layers,
        progress=partial(progress, "loading the model"),
    )
    try:
        clients = 1
        while clients <= config.slots:
            yield clients, _speed(engine, clients)
            clients *= 2
    finally:
        engine.close()


def _speed(engine: Engine, clients: int) -> float:
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
