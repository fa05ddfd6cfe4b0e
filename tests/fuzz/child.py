"""The process that runs hostile cases: it reads a line for each case and writes a line."""

import json
import os
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from mining.node.engine.batch_engine import Engine
from mining.node.engine.generation import GenerationError, GenerationRequest
from mining.node.engine.grammar import GrammarInvalid
from mining.node.llm.llama import LlamaError
from mining.node.llm.prompts import PLAIN, PromptError
from mining.node.llm.templates import Template, TemplateFails
from mining.node.protocol.job import Job
from mining.node.protocol.sampling_params import SamplingParams
from mining.node.protocol.wire import Malformed, read_json
from mining.node.shelf.model_trial import require_sound
from tests.fuzz import cases
from tests.node import tiny_model
from tests.node.bench import new_job

NAMED = (GenerationError, GrammarInvalid, LlamaError, Malformed, PromptError, TemplateFails)
TIME_S = 20.0


class Bench:
    """An engine, and a function for each kind of case."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._model = tiny_model.write(folder / "tiny.gguf")
        self._engine = Engine(self._model, slots=3)
        self._innocent = GenerationRequest(
            self._engine.prompts.tokenise("the hen", PLAIN), 12, SamplingParams(0.9), seed=b"i"
        )
        self._said = self._engine.submit(self._innocent).result()
        self.kinds: dict[str, Callable[[random.Random], object]] = {
            "grammar": lambda rng: self._drawn(_grammar(rng), rng),
            "schema": lambda rng: self._drawn(cases.lark_of_schema(rng), rng),
            "template": self._template,
            "job": self._job,
            "tokens": self._tokens,
            "text": self._text,
            "file": self._file,
            "json": _json,
            "abort": lambda _: os.abort(),  # for the test of the campaign itself
        }

    def run(self, kind: str, number: int) -> str:
        """Run a case. Return `ok`, an error's code, or a description of an unnamed error."""
        rng = random.Random(f"{kind}:{number}")
        neighbour = self._engine.submit(self._innocent)
        try:
            self.kinds[kind](rng)
            code = "ok"
        except NAMED as error:
            code = str(getattr(error, "code", type(error).__name__))
        except ValueError as error:
            code = "refused" if "does not have" in str(error) else f"unnamed: {error!r}"[:200]
        except Exception as error:
            code = f"unnamed: {error!r}"[:200]
        try:
            if neighbour.result(TIME_S) != self._said:
                code = "unnamed: a neighbour's answer has changed"
        except GenerationError as error:
            code = f"unnamed: a neighbour's answer was lost: {error}"[:200]
        return code

    def _drawn(self, lark: str, rng: random.Random) -> None:
        temperature = rng.choice((0.0, 0.8, 3.0))
        self._submit(grammar=lark, sampling=SamplingParams(temperature), max_tokens=24)

    def _submit(self, **given: Any) -> None:
        values: dict[str, Any] = {
            "prompt_tokens": [5, 6, 7],
            "max_tokens": 8,
            "seed": b"s",
            "deadline_at": time.time() + TIME_S,
        }
        self._engine.submit(GenerationRequest(**values | given)).result(TIME_S + 5)

    def _template(self, rng: random.Random) -> None:
        source = "".join(rng.sample(cases.TEMPLATES, rng.choice((1, 2))))
        source = cases.mutated(rng, source, (*cases.TEMPLATES, "{{", "}}", "{%", "%}", "loop", "|"))
        made = Template(source, bos_text="<s>", eos_text="</s>", today=datetime(2024, 7, 26))
        made.render([{"role": "user", "content": "x"}])

    def _job(self, rng: random.Random) -> None:
        names = [*new_job(), "min_p", "logit_bias", "logprobs", "seed", "attempt", "grammar"]
        changes = {rng.choice(names): cases.number(rng) for _ in range(rng.choice((1, 2, 3)))}
        if rng.random() < 0.5:
            changes["logit_bias"] = {str(cases.number(rng)): cases.number(rng) for _ in range(3)}
        changes["assignment_id"] = str(uuid.UUID(int=rng.getrandbits(128)))
        job = Job.from_json(new_job(**changes))
        tokens = self._engine.prompts.tokenise(job.prompt, job.prompt_form, job.prompt_template)
        most = self._engine.prompts.answer_tokens(len(tokens), job.max_tokens)
        self._submit(
            prompt_tokens=tokens,
            max_tokens=min(most, 16),
            sampling=job.sampling,
            seed=job.seed or job.task_digest,
            stop=job.stop,
            logprobs=job.logprobs,
        )

    def _tokens(self, rng: random.Random) -> None:
        size = self._engine._model.vocabulary_size
        odd = (-1, size, size - 1, 0, 2**31, 2**63, 2**70, -(2**40))
        tokens = [rng.choice((5, 6, *odd)) for _ in range(rng.choice((1, 3, 70)))]
        if rng.random() < 0.5:
            self._submit(draft=tokens, logprobs=rng.choice((0, 3)))
        else:
            self._submit(prompt_tokens=tokens)
        self._engine.embed([tokens])

    def _text(self, rng: random.Random) -> None:
        text = cases.text(rng)
        if rng.random() < 0.2:
            text = json.dumps([{"role": rng.choice(("user", "system", "x")), "content": text}])
        form = rng.choice((0, 1, 2, 3, 4, 9))
        tokens = self._engine.prompts.tokenise(text, form, rng.choice(("", "{prompt}", text[:99])))
        self._submit(prompt_tokens=tokens, stop=[text[:9] or "x"])

    def _file(self, rng: random.Random) -> None:
        data = bytearray(self._model.read_bytes())
        for _ in range(rng.choice((1, 3, 30))):
            place = rng.randrange(rng.choice((64, 4_000, len(data))))
            data[place : place + rng.choice((1, 4, 8))] = rng.randbytes(rng.choice((1, 4, 8)))
        path = self._folder / "broken.gguf"
        path.write_bytes(data[: rng.choice((len(data), len(data), rng.randrange(len(data))))])
        require_sound(path)


def _json(rng: random.Random) -> None:
    opening = rng.choice(("[", '{"a":', '[{"a":'))
    read_json(opening * rng.choice((10, 990, 5_000, 100_000)), "body")


def _grammar(rng: random.Random) -> str:
    return cases.mutated(rng, rng.choice(cases.GRAMMARS), cases.PIECES)


def main() -> None:
    """Run the cases from standard input until it ends."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        print(json.dumps({"ready": True}), flush=True)
        for line in sys.stdin:
            kind, number = json.loads(line)
            started = time.monotonic()
            code = bench.run(kind, number)
            print(json.dumps([code, time.monotonic() - started]), flush=True)


if __name__ == "__main__":
    main()
