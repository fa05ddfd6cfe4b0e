"""Follows a grammar byte by byte: checks which texts it allows, and generates texts."""

import json
import random
from collections.abc import Iterator
from itertools import islice, permutations, product
from typing import Any

from llguidance import LLMatcher

from sessions.faces.openai.json_schema.library import byte_tokenizer

MAX_ORDERS, MAX_SPELLINGS = 720, 64
END = 256
"""The token that ends an answer. Each lower token is a byte."""


class Unfollowed(Exception):
    """The library cannot read or evaluate a grammar."""


class Followed:
    """A grammar in the library's dialect of Lark. Raises Unfollowed."""

    def __init__(self, lark: str) -> None:
        text = LLMatcher.grammar_from_lark(lark)
        self._matcher = LLMatcher(byte_tokenizer(), text, log_level=0)
        self._require_sound()

    def admits(self, text: str) -> bool:
        """Tell whether the grammar allows this text as a whole answer."""
        self._matcher.reset()
        tokens = list(text.encode())
        taken = self._matcher.try_consume_tokens(tokens)
        self._require_sound()
        return taken == len(tokens) and bool(self._matcher.is_accepting())

    def admits_value(self, value: Any) -> bool:
        """Tell whether the grammar allows this JSON value, in any order of its properties."""
        return any(map(self.admits, spellings(value)))

    def walk(self, source: random.Random, max_bytes: int) -> str | None:
        """Generate a text of the grammar. Return None if it does not end within `max_bytes`."""
        self._matcher.reset()
        said = bytearray()
        while len(said) <= max_bytes:
            mask = self._matcher.compute_bitmask()
            self._require_sound()
            allowed = [t for t in range(END) if mask[t >> 3] >> (t & 7) & 1]
            may_end = self._matcher.is_accepting()
            if may_end and (not allowed or source.random() < 0.3):
                return said.decode()
            if not allowed:
                raise Unfollowed(f"nothing may follow {bytes(said)!r}")
            byte = source.choice(_likely(allowed, source))
            self._matcher.consume_token(byte)
            self._require_sound()
            said.append(byte)
        return None

    def _require_sound(self) -> None:
        if error := self._matcher.get_error():
            raise Unfollowed(error.partition("\n")[0])


def spellings(value: Any) -> Iterator[str]:
    """Yield the texts of a value in the style of the grammars, in various orders of properties."""
    if isinstance(value, dict):
        parts = [
            [f"{_quoted(name)}: {text}" for text in islice(spellings(member), MAX_SPELLINGS)]
            for name, member in value.items()
        ]
        for order in islice(permutations(parts), MAX_ORDERS):
            for texts in islice(product(*order), MAX_SPELLINGS):
                yield f"{{{', '.join(texts)}}}"
    elif isinstance(value, list):
        items = [list(islice(spellings(item), MAX_SPELLINGS)) for item in value]
        for texts in islice(product(*items), MAX_SPELLINGS):
            yield f"[{', '.join(texts)}]"
    elif isinstance(value, float) and value.is_integer() and abs(value) < 1e16:
        yield str(int(value))
    else:
        yield _quoted(value)


def _quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _likely(allowed: list[int], source: random.Random) -> list[int]:
    """Prefer bytes that end strings, arrays and objects, so that a walk ends."""
    closing = [byte for byte in allowed if byte in b'"]}']
    if closing and source.random() < 0.25:
        return closing
    simple = [byte for byte in allowed if 32 <= byte < 127]
    return simple if simple and source.random() < 0.8 else allowed
