"""`make bench-schema`: the time of a token under a schema, divided by its time without a schema.

Constrained and free runs alternate in one process and generate the same number of tokens: a free
answer ends after as many tokens as the constrained one had. The time to read the schema counts as a
part of the constrained answer.
"""

import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from bench.parts.json_schema_suite import figures
from bench.parts.real_schemas import SCHEMAS
from bench.report import publish
from cortensor_site.stack.chat_model import SMOLLM2
from mining.node.engine.batch_engine import Engine
from mining.node.engine.generation import GenerationRequest
from mining.node.llm.prompts import CHAT
from mining.node.protocol.sampling_params import SamplingParams

ROUNDS = 3
TOGETHER = 16
MAX_TOKENS = 64
CONTEXT_TOKENS = 512
MODELS = (SMOLLM2.path, Path("mining/node/models/cortensor-mini.gguf"))


def main() -> None:
    """Measure, and print the result."""
    model = next(path for path in MODELS if path.is_file())
    engine = Engine(model, slots=TOGETHER, context_tokens=CONTEXT_TOKENS)
    rows, ratios = [], dict[str, float]()
    seconds = {count: ([0.0] * ROUNDS, [0.0] * ROUNDS) for count in (1, TOGETHER)}
    for name, schema in SCHEMAS.items():
        row = [name]
        for count in seconds:
            constrained, free = _times(engine, schema, count)
            for index in range(ROUNDS):
                seconds[count][0][index] += constrained[index]
                seconds[count][1][index] += free[index]
            row.append(f"{_ratio(constrained, free):.3f}")
        rows.append(row)
    for count, key in ((1, "single"), (TOGETHER, str(TOGETHER))):
        ratios[f"constrained_vs_free_{key}"] = _ratio(*seconds[count])
    held = figures()
    ratios |= {key: held[key] for key in ("suite_held", "silently_dropped")}
    engine.close()
    print(f"model: {model.name}")
    publish("schema", ["schema", "one alone", f"{TOGETHER} at once"], rows, ratios)


def _ratio(constrained: Sequence[float], free: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(constrained, free, strict=True))


def _times(engine: Engine, schema: object, count: int) -> tuple[list[float], list[float]]:
    """Return the seconds of each round for `count` answers at once, with and without the schema."""
    settings = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
    assert isinstance(schema, dict)
    lark = "start: %json " + json.dumps(schema | {"x-guidance": settings})
    prompt = engine.prompts.tokenise("Answer in JSON. Make something up.", CHAT)
    # Without a bias against end tokens, the model would end some answers early.
    ends = {t: -100.0 for t in range(engine._model.vocabulary_size) if engine._model.is_end(t)}
    sampling = SamplingParams(0.7, 0.95, logit_bias=ends)

    def requests(lengths: Sequence[int], grammar: str) -> list[GenerationRequest]:
        return [
            GenerationRequest(prompt, length, sampling, seed=bytes([n]), grammar=grammar)
            for n, length in enumerate(lengths)
        ]

    def timed(asked: list[GenerationRequest]) -> tuple[float, list[int]]:
        started = time.perf_counter()
        answers = [engine.submit(each) for each in asked]
        lengths = [len(answer.result().token_ids) for answer in answers]
        return time.perf_counter() - started, lengths

    _, lengths = timed(requests([MAX_TOKENS] * count, lark))
    timed(requests(lengths, ""))
    constrained, free = [], []
    for _ in range(ROUNDS):
        took_s, found = timed(requests(lengths, lark))
        constrained.append(took_s)
        took_s, others = timed(requests(lengths, ""))
        free.append(took_s)
        assert found == lengths == others, "the runs have different numbers of tokens"
    return constrained, free


if __name__ == "__main__":
    main()
