"""The subjects of network tasks, on which small models have some knowledge, and questions on them.

Subjects and questions are drawn from a seed that no node can choose. So a creator or preparer
cannot choose what suits an accomplice, and needs no model to make questions.
"""

import random
from collections.abc import Callable, Sequence

from eth_utils.crypto import keccak

Question = Callable[[random.Random], str]

_UNITS = (
    ("hours", "minutes"),
    ("minutes", "seconds"),
    ("days", "hours"),
    ("weeks", "days"),
    ("years", "months"),
    ("kilometres", "metres"),
    ("metres", "centimetres"),
    ("kilograms", "grams"),
    ("litres", "millilitres"),
    ("dollars", "cents"),
)
_WORDS = (
    "apple",
    "bird",
    "book",
    "boat",
    "cake",
    "dog",
    "door",
    "fish",
    "gold",
    "house",
    "king",
    "lamp",
    "lion",
    "moon",
    "night",
    "orange",
    "queen",
    "river",
    "snow",
    "star",
    "table",
    "tree",
)
_OPPOSITES = ("hot", "big", "fast", "up", "left", "day", "old", "open", "full", "high", "long")
_PLURALS = ("mouse", "child", "man", "foot", "tooth", "goose", "leaf", "wolf", "box", "city")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_COUNTRIES = (
    "France",
    "Germany",
    "Italy",
    "Spain",
    "Portugal",
    "Austria",
    "Poland",
    "Sweden",
    "Norway",
    "Greece",
    "Japan",
    "China",
    "Egypt",
    "Kenya",
    "Canada",
    "Mexico",
    "Peru",
    "Australia",
)


def _addition(rng: random.Random) -> str:
    return f"What is {rng.randint(0, 99)} + {rng.randint(0, 99)}?"


def _subtraction(rng: random.Random) -> str:
    less, more = sorted((rng.randint(0, 99), rng.randint(0, 99)))
    return f"What is {more} - {less}?"


def _multiplication(rng: random.Random) -> str:
    return f"What is {rng.randint(0, 12)} x {rng.randint(0, 12)}?"


def _units(rng: random.Random) -> str:
    large, small = rng.choice(_UNITS)
    return f"How many {small} are {rng.randint(2, 12)} {large}?"


def _comparison(rng: random.Random) -> str:
    a, b = rng.sample(range(1000), 2)
    return f"Which is larger, {a} or {b}?"


def _sequences(rng: random.Random) -> str:
    start, step = rng.randint(0, 50), rng.choice((1, 2, 3, 5, 10))
    return f"What comes next: {', '.join(str(start + step * i) for i in range(4))}?"


def _spelling(rng: random.Random) -> str:
    return f"How do you spell {rng.choice(_WORDS)}?"


def _opposites(rng: random.Random) -> str:
    return f"What is the opposite of {rng.choice(_OPPOSITES)}?"


def _plurals(rng: random.Random) -> str:
    return f"What is the plural of {rng.choice(_PLURALS)}?"


def _weekdays(rng: random.Random) -> str:
    return f"What day comes after {rng.choice(_DAYS)}?"


def _capitals(rng: random.Random) -> str:
    return f"What is the capital of {rng.choice(_COUNTRIES)}?"


SUBJECTS: dict[str, dict[str, Question]] = {
    "arithmetic": {
        "addition": _addition,
        "subtraction": _subtraction,
        "multiplication": _multiplication,
    },
    "quantities": {"units": _units, "comparison": _comparison, "sequences": _sequences},
    "language": {"spelling": _spelling, "opposites": _opposites, "plurals": _plurals},
    "general knowledge": {"weekdays": _weekdays, "capitals": _capitals},
}
"""The functions that draw a question, by domain and subdomain."""


def subject_of(seed: int) -> tuple[str, str]:
    """Return the domain and subdomain that are drawn from a request's seed."""
    rng = _draw(seed, "subject")
    domain = rng.choice(sorted(SUBJECTS))
    return domain, rng.choice(sorted(SUBJECTS[domain]))


def questions(domain: str, subdomain: str, seed: int, author: str, count: int) -> Sequence[str]:
    """Return up to `count` different questions on a subject.

    The questions depend on the seed and on `author`, the address of the node that prepares them.
    """
    ask = SUBJECTS.get(domain, {}).get(subdomain)
    if ask is None:
        return [f"What is {subdomain}?"][:count]
    rng = _draw(seed, f"questions by {author.lower()}")
    found = dict.fromkeys(ask(rng) for _ in range(8 * count))
    return list(found)[:count]


def request_for_question(subdomain: str) -> str:
    """Return the prompt that asks a model to make a question on a subject."""
    return f"Ask one short question about {subdomain}."


def is_question(text: str) -> bool:
    """Tell whether a model's text is usable as a prompt: one line that ends in a question mark."""
    return text.endswith("?") and 10 <= len(text) <= 300 and "\n" not in text


def _draw(seed: int, purpose: str) -> random.Random:
    # Every node must draw the same, so this needs no secure randomness.
    return random.Random(keccak(seed.to_bytes(32, "big") + purpose.encode()))  # noqa: S311
