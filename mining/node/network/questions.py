"""What network tasks are about: subjects that small models know, and questions on them.

All of it follows from a seed that nobody chooses, so that no creator or preparer can pick what
suits its friends, and none needs a model for it.
"""

import random
from collections.abc import Callable, Sequence

from eth_utils.crypto import keccak

Question = Callable[[random.Random], str]

_UNITS = (
    *(("hours", "minutes"), ("minutes", "seconds"), ("days", "hours"), ("weeks", "days")),
    *(("years", "months"), ("kilometres", "metres"), ("metres", "centimetres")),
    *(("kilograms", "grams"), ("litres", "millilitres"), ("dollars", "cents")),
)
_WORDS = (
    *("apple", "bird", "book", "boat", "cake", "dog", "door", "fish", "gold", "house", "king"),
    *("lamp", "lion", "moon", "night", "orange", "queen", "river", "snow", "star", "table", "tree"),
)
_OPPOSITES = ("hot", "big", "fast", "up", "left", "day", "old", "open", "full", "high", "long")
_PLURALS = ("mouse", "child", "man", "foot", "tooth", "goose", "leaf", "wolf", "box", "city")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_COUNTRIES = (
    *("France", "Germany", "Italy", "Spain", "Portugal", "Austria", "Poland", "Sweden", "Norway"),
    *("Greece", "Japan", "China", "Egypt", "Kenya", "Canada", "Mexico", "Peru", "Australia"),
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
"""By domain and subdomain."""


def subject_of(seed: int) -> tuple[str, str]:
    """The domain and subdomain that a request's seed leads to."""
    rng = _draw(seed, "subject")
    domain = rng.choice(sorted(SUBJECTS))
    return domain, rng.choice(sorted(SUBJECTS[domain]))


def questions(domain: str, subdomain: str, seed: int, author: str, count: int) -> Sequence[str]:
    """Different questions on a subject; other authors draw others."""
    ask = SUBJECTS.get(domain, {}).get(subdomain)
    if ask is None:
        return [f"What is {subdomain}?"][:count]
    rng = _draw(seed, f"questions by {author.lower()}")
    found = dict.fromkeys(ask(rng) for _ in range(8 * count))
    return list(found)[:count]


def request_for_question(subdomain: str) -> str:
    """What a model is asked when it is to make a question itself."""
    return f"Ask one short question about {subdomain}."


def is_question(text: str) -> bool:
    """Whether a model's text will do as a prompt: one line that asks something."""
    return text.endswith("?") and 10 <= len(text) <= 300 and "\n" not in text


def _draw(seed: int, purpose: str) -> random.Random:
    # The same for everybody, and no secret: the seed is public.
    return random.Random(keccak(seed.to_bytes(32, "big") + purpose.encode()))  # noqa: S311
