"""Prompts that a chat model goes on with, where it would end its answer to mere words at once."""

import random


def story(chooser: random.Random, words: int) -> str:
    """The beginning of a story, after words that no other prompt begins with."""
    numbers = " ".join(f"w{chooser.randrange(30_000)}" for _ in range(words // 4 + 1))
    return f"{numbers}. Once upon a time, a little fox lived in a wood and"


def one_each(chooser: random.Random, clients: int) -> list[list[str]]:
    """One for each client."""
    return [[story(chooser, 1)] for _ in range(clients)]
