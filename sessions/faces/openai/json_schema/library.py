"""Questions to the grammar library about single regular expressions.

The library matches in linear time, and here in the same way as in a grammar.
"""

import json
from functools import lru_cache

from llguidance import LLMatcher, LLTokenizer

from sessions.faces.openai.json_schema.kinds import Names
from sessions.faces.openai.json_schema.strings.patterns import Pattern

_MATCHERS = 64


def known_names() -> Names:
    """Return the functions for one schema. Their results are cached with it."""
    matcher = lru_cache(maxsize=_MATCHERS)(_matcher)

    def matches(pattern: Pattern, text: str) -> bool:
        if len(text) < pattern.least or (pattern.most is not None and len(text) > pattern.most):
            return False
        follower = matcher(pattern.text)
        follower.reset()
        tokens = list(text.encode())
        return follower.try_consume_tokens(tokens) == len(tokens) and follower.is_accepting()

    return Names(matches, lru_cache(maxsize=None)(_are_apart))


@lru_cache(maxsize=1)
def byte_tokenizer() -> LLTokenizer:
    """Return a tokenizer whose tokens are the bytes, numbered by their values."""
    return LLTokenizer("byte")


def _matcher(text: str) -> LLMatcher:
    bare = text.removeprefix("^").removesuffix("$")
    return LLMatcher(byte_tokenizer(), LLMatcher.grammar_from_regex(bare), log_level=0)


def _are_apart(one: Pattern, other: Pattern) -> bool:
    """Return whether no string matches both, as the library requires of names in an object."""
    both = {"type": "object", "patternProperties": {one.text: True, other.text: True}}
    grammar = f"start: %json {json.dumps(both)}"
    return not LLMatcher.validate_grammar(LLMatcher.grammar_from_lark(grammar), byte_tokenizer())
