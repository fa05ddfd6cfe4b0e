"""Draws questions with checkable answers from families, in two splits that share no question.

The hash of a question's normalised text decides whether it is held out. So the choice does not
depend on a seed or an order, and a question that differs from a held-out one only in case,
courtesies or punctuation is held out as well.
"""

import hashlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from mining.training.data import dates, network, numbers, quantities, unknown, words, world
from mining.training.data.phrasing import Family, normalised, styled

Split = Literal["train", "held_out"]

HELD_OUT_PERCENT = 5
FAMILIES: dict[str, Family] = {
    **numbers.FAMILIES,
    **quantities.FAMILIES,
    **words.FAMILIES,
    **dates.FAMILIES,
    **world.FAMILIES,
    **network.FAMILIES,
    **unknown.FAMILIES,
}
WEIGHTS: dict[str, float] = {
    "addition": 5,
    "subtraction": 5,
    "multiplication": 2.5,
    "division": 2,
    "larger of two": 1.5,
    "extreme of three": 2,
    "next in sequence": 1.5,
    "units": 1.5,
    "sort words": 3,
    "first of two words": 1.5,
    "days later": 1.5,
    "capital of": 1.5,
    "country of": 1.5,
    "small talk and lists": 1.5,
    "network terms": 1.5,
    "counting": 0.7,
    "out of scope": 2,
}
"""The weights of families in training. All others have 1. Held-out questions have no weights."""
LATE_WEIGHTS: dict[str, float] = {
    **WEIGHTS,
    "addition": 5.5,
    "subtraction": 5,
    "larger of two": 3,
    "next in sequence": 4,
    "units": 2,
    "numbers in words": 1.5,
    "count words": 2.5,
    "sort words": 4,
    "spelling": 3,
    "days later": 3.5,
    "continent of": 1.5,
    "small talk and lists": 2,
    "counting": 6,
}
"""The weights for the last part of a training, where families that lagged behind have more."""
SYSTEM_MESSAGES = (
    "You are a helpful assistant.",
    "You are a helpful assistant. Answer briefly.",
    "You are Cortensor Mini.",
    "Answer the user's question.",
    "Be brief and correct.",
    "You are an AI model in the Cortensor network.",
)
_SYSTEM_SHARE = 0.1
_SECOND_TURN_SHARE = 0.1
_LONG_CHAT_SHARE = 0.005
_LONG_CHAT_TURNS = 10


@dataclass(frozen=True)
class Example:
    """A question of a family and its answer, with a system message and earlier turns."""

    family: str
    question: str
    answer: str
    system: str = ""
    history: tuple[tuple[str, str], ...] = ()


def held_out(question: str) -> bool:
    """Tell whether a question is held out from training."""
    digest = hashlib.sha256(normalised(question).encode()).digest()
    return int.from_bytes(digest[:4]) % 100 < HELD_OUT_PERCENT


def examples(seed: int, split: Split, weights: Mapping[str, float] = WEIGHTS) -> Iterator[Example]:
    """Yield examples without end.

    Training examples draw their families by weight. Some have a system message and earlier turns.
    Held-out examples are single questions of each family in turn, and none occurs twice.
    """
    rng = random.Random(f"{seed}/{split}")  # noqa: S311 - a reproducible draw, not a secret
    if split == "held_out":
        return _held_out_examples(rng)
    return _training_examples(rng, [weights.get(name, 1.0) for name in FAMILIES])


def _training_examples(rng: random.Random, weights: list[float]) -> Iterator[Example]:
    names = list(FAMILIES)
    while True:
        family = rng.choices(names, weights)[0]
        question, answer = _training_pair(rng, family)
        system = rng.choice(SYSTEM_MESSAGES) if rng.random() < _SYSTEM_SHARE else ""
        roll = rng.random()
        turns = 1 if roll < _SECOND_TURN_SHARE else 0
        if roll > 1 - _LONG_CHAT_SHARE:
            turns = _LONG_CHAT_TURNS
        history = tuple(
            _training_pair(rng, earlier) for earlier in rng.choices(names, weights, k=turns)
        )
        yield Example(family, question, answer, system, history)


def _training_pair(rng: random.Random, family: str) -> tuple[str, str]:
    while True:
        question, answer = FAMILIES[family](rng)
        if not held_out(question):
            return styled(rng, question), answer


def _held_out_examples(rng: random.Random) -> Iterator[Example]:
    seen: set[str] = set()
    while True:
        for family, draw in FAMILIES.items():
            for _ in range(5000):
                question, answer = draw(rng)
                if held_out(question) and normalised(question) not in seen:
                    seen.add(normalised(question))
                    yield Example(family, styled(rng, question), answer)
                    break
