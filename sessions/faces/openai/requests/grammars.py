"""Conversion of `response_format` into a grammar (Lark with `%json`) for the miner's sampler.

`json_schema` decides which members of a client's schema can be enforced. With `strict`, a member
that cannot be enforced is an error. Otherwise it is ignored, and the answer's headers name it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llguidance import LLMatcher

from sessions.faces.openai.errors import invalid, unsupported
from sessions.faces.openai.json_schema import Held, NotHeld, SchemaInvalid, hold, rule_of
from sessions.intake.options import MAX_GRAMMAR_CHARACTERS

MAX_SCHEMA_CHARACTERS = 131_072
PARAM = "response_format"
MAX_REASON = 200
MAX_PATH = 256
"""The most characters of a member's path in an error, since clients choose the names in it."""
_ANY_OBJECT = {"type": "object"}


@dataclass(frozen=True)
class AnswerGrammar:
    """The grammar of an answer.

    Args:
        lark: the grammar for llguidance.
        passed_over: the reasons for members that are not enforced, by path.
    """

    lark: str
    passed_over: Mapping[str, str] = field(default_factory=dict)


def grammar_of(response_format: Any) -> AnswerGrammar | None:
    """Return the grammar for a `response_format`, or None for plain text.

    Raises:
        OpenAIError: the format is unknown, or its schema cannot be enforced.
    """
    kind = response_format.get("type") if isinstance(response_format, dict) else None
    match kind:
        case "text":
            return None
        case "json_object":
            return grammar_from_schema(_ANY_OBJECT, PARAM)
        case "json_schema":
            return _from_json_schema(response_format)
    raise invalid(PARAM, "its 'type' has to be 'text', 'json_object' or 'json_schema'")


def grammar_from_schema(schema: Any, param: str, *, strict: bool = False) -> AnswerGrammar:
    """Return a grammar with one rule, `start`, for the JSON of a schema. Raises OpenAIError."""
    held = held_schema(schema, param, strict=strict)
    return AnswerGrammar(f"start: {json_rule(held, param)}", held.passed_over)


def held_schema(schema: Any, param: str, *, strict: bool = False, prefix: str = "d") -> Held:
    """Return the part of a client's schema that can be enforced. Raises OpenAIError."""
    if len(json.dumps(schema)) > MAX_SCHEMA_CHARACTERS:
        raise invalid(param, f"it has more than {MAX_SCHEMA_CHARACTERS} characters")
    try:
        return hold(schema, param, is_strict=strict, prefix=prefix)
    except NotHeld as error:
        reason = f"a grammar cannot hold an answer to it ({error.reason})"
        raise unsupported(_shown(error.path), reason) from error
    except SchemaInvalid as error:
        raise invalid(_shown(error.path), error.reason) from error


def json_rule(held: Held, param: str) -> str:
    """Return the body of a grammar rule for the JSON of a schema. Raises OpenAIError."""
    if held.needs_plain_escapes and held.has_controls:
        raise invalid(param, "control characters and further properties do not go together here")
    rule = rule_of(held)
    if len(rule) > MAX_GRAMMAR_CHARACTERS:
        raise invalid(param, "its grammar is too large; simplify the schema")
    grammar = LLMatcher.grammar_from_lark(f"start: {rule}")
    is_error, messages = LLMatcher.validate_grammar_with_warnings(grammar)
    if is_error:
        raise invalid(param, f"it cannot be turned into a grammar ({_why(messages[0])})")
    return rule


def _from_json_schema(response_format: dict[str, Any]) -> AnswerGrammar:
    wrapper = response_format.get("json_schema")
    if not isinstance(wrapper, dict):
        raise invalid(f"{PARAM}.json_schema", "it has to be an object")
    schema, strict = wrapper.get("schema", _ANY_OBJECT), wrapper.get("strict")
    if not isinstance(schema, dict):
        raise invalid(f"{PARAM}.json_schema.schema", "it has to be an object")
    if strict is not None and not isinstance(strict, bool):
        raise invalid(f"{PARAM}.json_schema.strict", "it has to be true or false")
    return grammar_from_schema(schema, f"{PARAM}.json_schema.schema", strict=bool(strict))


def _shown(path: str) -> str:
    """Shorten a path and escape lone surrogates, so that it fits into logs and headers."""
    path = path.encode(errors="backslashreplace").decode()
    return path if len(path) <= MAX_PATH else f"{path[: MAX_PATH - 1]}…"


def _why(error: str) -> str:
    """Return the library's message without positions in the grammar, which clients cannot see."""
    first = error.partition("\n   1 |")[0].replace("at 1(8): ", "", 1)
    return " ".join(first.split())[:MAX_REASON]
