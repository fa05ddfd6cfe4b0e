"""How a question is put: templates, and the ways in which people really type."""

import random
import re
from collections.abc import Callable, Sequence

Family = Callable[[random.Random], tuple[str, str]]
"""Draws one question and its only right answer."""

_COURTESY = re.compile(
    r"^(?:(?:hi|hey|hello|ok|please|quick question)[,:]? )+|(?:,? (?:please|thanks))$"
)
_OPENINGS = ("Hi, ", "Hey, ", "Hello, ", "OK, ", "Please, ", "Quick question: ")
_CLOSINGS = (" please", ", please", " thanks")


def ask(rng: random.Random, templates: Sequence[str], **values: object) -> str:
    """One of the templates, filled in."""
    return rng.choice(templates).format(**values)


def normalised(question: str) -> str:
    """A question without what `styled` varies: case, punctuation at its end, courtesies."""
    text = " ".join(question.lower().replace("'", "").split())
    previous = ""
    while text != previous:
        previous = text
        text = _COURTESY.sub("", text.rstrip("?.! "))
    return text


def styled(rng: random.Random, question: str) -> str:
    """The question as somebody might type it. `normalised` gives the same text as before."""
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
