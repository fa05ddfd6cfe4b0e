"""Prompts that a chat model continues at length. It ends its answer to random words at once."""

import random


def story(chooser: random.Random, words: int) -> str:
    """Return the beginning of a story, after random words with which no other prompt begins."""
    numbers = " ".join(f"w{chooser.randrange(30_000)}" for _ in range(words // 4 + 1))
    return f"{numbers}. Once upon a time, a little fox lived in a wood and"


def one_each(chooser: random.Random, clients: int) -> list[list[str]]:
    """Return one story for each client."""
    return [[story(chooser, 1)] for _ in range(clients)]
