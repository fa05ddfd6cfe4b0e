"""Regular expressions for all strings except some, since the library has no negation."""

from collections.abc import Iterable

from sessions.faces.openai.json_schema.strings.patterns import LEFT_OUT, Pattern
from sessions.faces.openai.json_schema.strings.regex_reading import Signs

MAX_CHARACTERS, MAX_CHARACTERS_IN_ALL = 64, 4_096
"""Limits of the excluded strings, because each character opens a nested group."""
_ANY = "(?s:.*)"


def can_be_left_out(texts: Iterable[str]) -> bool:
    """Return whether the strings are few and short enough for such an expression."""
    lengths = [len(text) for text in texts]
    return max(lengths, default=0) <= MAX_CHARACTERS and sum(lengths) <= MAX_CHARACTERS_IN_ALL


def any_string_but(texts: Iterable[str]) -> Pattern:
    """Return a pattern for all other strings: prefixes, extensions and strings that diverge."""
    return Pattern(f"^{_but(sorted(set(texts)))}$", 0, None)


def _but(texts: list[str]) -> str:
    if not texts:
        return _ANY
    ways = [] if "" in texts else [""]
    after: dict[str, list[str]] = {}
    for text in filter(None, texts):
        after.setdefault(text[0], []).append(text[1:])
    ways += [f"{_signs(first).text()}{_but(rest)}" for first, rest in after.items()]
    others = Signs(True, tuple((ord(sign), ord(sign)) for sign in after))
    ways.append(f"{(others.without(LEFT_OUT) if others.is_misread else others).text()}{_ANY}")
    return f"(?:{'|'.join(ways)})"


def _signs(character: str) -> Signs:
    return Signs(False, ((ord(character), ord(character)),))
