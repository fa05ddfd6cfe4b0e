"""Score a GGUF file on held-out questions: `python -m mining.training.score MODEL`."""

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from llama_cpp import Llama

from mining.training.data.corpus import Example, examples

SEED = 3
"""The seed of the questions whose score the model card reports. Training evaluates others."""


@dataclass(frozen=True)
class Answered:
    """A question and the model's answer."""

    example: Example
    said: str

    @property
    def is_right(self) -> bool:
        """Whether the model gave exactly the expected answer."""
        return self.said.strip() == self.example.answer


class Respondent:
    """Answers single questions with a GGUF file, in its chat template, at temperature 0."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        self._llama = Llama(
            str(path), n_ctx=512, n_threads=threads, n_threads_batch=threads, verbose=False
        )

    def answer(self, question: str, system: str = "") -> str:
        """Return the model's answer."""
        messages: list[Any] = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": question})
        reply: Any = self._llama.create_chat_completion(messages, temperature=0.0, max_tokens=160)
        return str(reply["choices"][0]["message"]["content"])


def held_out_questions(count: int, seed: int = SEED) -> list[Example]:
    """Return held-out questions, evenly distributed over the families."""
    return list(islice(examples(seed, "held_out"), count))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--show-wrong", action="store_true")
    arguments = parser.parse_args()
    respondent = Respondent(arguments.model, arguments.threads)
    families: dict[str, list[bool]] = defaultdict(list)
    for example in held_out_questions(arguments.questions, arguments.seed):
        answered = Answered(example, respondent.answer(example.question))
        families[example.family].append(answered.is_right)
        if arguments.show_wrong and not answered.is_right:
            print(f"{example.question!r}: {answered.said!r}, not {example.answer!r}")
    print("| family | right | of |\n|---|---|---|")
    for family, hits in families.items():
        print(f"| {family} | {sum(hits)} | {len(hits)} |")
    right, asked = sum(map(sum, families.values())), sum(map(len, families.values()))
    print(json.dumps({"right": right, "questions": asked, "share": round(right / asked, 4)}))


if __name__ == "__main__":
    main()
