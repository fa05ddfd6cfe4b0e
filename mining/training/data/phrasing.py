"""Phrases questions: templates, and variations as people type them."""

import random
import re
from collections.abc import Callable, Sequence

Family = Callable[[random.Random], tuple[str, str]]
"""A function that draws a question with its only right answer."""

_COURTESY = re.compile(
    r"^(?:(?:hi|hey|hello|ok|please|quick question)[,:]? )+|(?:,? (?:please|thanks))$"
)
_OPENINGS = ("Hi, ", "Hey, ", "Hello, ", "OK, ", "Please, ", "Quick question: ")
_CLOSINGS = (" please", ", please", " thanks")


def ask(rng: random.Random, templates: Sequence[str], **values: object) -> str:
    """Choose one of the templates and fill it in."""
    return rng.choice(templates).format(**values)


def normalised(question: str) -> str:
    """Remove from a question what `styled` varies: case, final punctuation and courtesies."""
    text = " ".join(question.lower().replace("'", "").split())
    previous = ""
    while text != previous:
        previous = text
        text = _COURTESY.sub("", text.rstrip("?.! "))
    return text


def styled(rng: random.Random, question: str) -> str:
    """Vary a question as people type it. `normalised` gives the same text for both."""
    roll = rng.random()
    if roll < 0.5:
        return question
    text = question
    if roll < 0.6:
        return text.rstrip("?.! ")
    if roll < 0.75:
        return text.lower()
    if roll < 0.9:
        return text.lower().rstrip("?.! ").replace("'", "")
    if roll < 0.95:
        return rng.choice(_OPENINGS) + text
    return text.rstrip("?.! ") + rng.choice(_CLOSINGS) + rng.choice(("", "?"))
