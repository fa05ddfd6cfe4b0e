"""What the grammar library says of single regular expressions.

It matches in linear time, whatever the expression, and as it does when a grammar is followed.
"""

import json
from functools import lru_cache

from llguidance import LLMatcher, LLTokenizer

from sessions.faces.openai.json_schema.kinds import Names
from sessions.faces.openai.json_schema.strings.patterns import Pattern

_MATCHERS = 64


def known_names() -> Names:
    """For one schema: what was found out is kept with it."""
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
    """Each byte is a token of the same number."""
    return LLTokenizer("byte")


def _matcher(text: str) -> LLMatcher:
    bare = text.removeprefix("^").removesuffix("$")
    return LLMatcher(byte_tokenizer(), LLMatcher.grammar_from_regex(bare), log_level=0)


def _are_apart(one: Pattern, other: Pattern) -> bool:
    """Whether no string matches both; the library wants it so of the names in an object."""
    both = {"type": "object", "patternProperties": {one.text: True, other.text: True}}
    grammar = f"start: %json {json.dumps(both)}"
    return not LLMatcher.validate_grammar(LLMatcher.grammar_from_lark(grammar), byte_tokenizer())
