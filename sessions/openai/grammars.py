"""`response_format` as a grammar (Lark, with `%json`) that the miner's sampler follows.

The library llguidance reads JSON Schema itself, and says what it cannot hold. `strict` means that
nothing in a schema is passed over.
"""

import json
from collections.abc import Iterator
from typing import Any

from llguidance import LLMatcher

from sessions.openai.errors import OpenAIError
from sessions.options import MAX_GRAMMAR_CHARACTERS

MAX_SCHEMA_CHARACTERS = 32_768
MAX_DEPTH = 24
PARAM = "response_format"
_ANY_OBJECT = {"type": "object"}
_VALUES = ("const", "enum", "default", "examples")
"""What is under these is a value to be said, whatever it looks like."""
MAX_REASON = 200
_SEPARATORS = {"item_separator": ", ", "key_separator": ": "}


def grammar_of(response_format: Any) -> str:
    """The grammar of an answer; empty for plain text.

    Raises:
        OpenAIError: the format is unknown, or its schema cannot be turned into a grammar.
    """
    kind = response_format.get("type") if isinstance(response_format, dict) else None
    match kind:
        case "text":
            return ""
        case "json_object":
            return grammar_from_schema(_ANY_OBJECT, PARAM)
        case "json_schema":
            return _from_json_schema(response_format)
    raise _invalid(PARAM, "its 'type' has to be 'text', 'json_object' or 'json_schema'")


def grammar_from_schema(schema: dict[str, Any], param: str, *, strict: bool = False) -> str:
    """The grammar of the JSON texts that fit a schema: one rule, `start`. Raises OpenAIError."""
    return f"start: {json_rule(schema, param, strict=strict)}"


def json_rule(schema: dict[str, Any], param: str, *, strict: bool = False) -> str:
    """What a rule of a grammar says of the JSON texts that fit a schema. Raises OpenAIError."""
    _require_short(schema, param)
    for _ in _parts(schema, param):  # refuses what is nested too deep
        pass
    # No white space but what follows ',' and ':', or small models fill answers with it.
    settings = {"whitespace_flexible": False, "lenient": not strict}
    rule = "%json " + json.dumps(schema | {"x-guidance": settings | _SEPARATORS})
    if len(rule) > MAX_GRAMMAR_CHARACTERS:
        raise _invalid(param, "its grammar is too large; simplify the schema")
    grammar = LLMatcher.grammar_from_lark(f"start: {rule}")
    is_error, messages = LLMatcher.validate_grammar_with_warnings(grammar)
    if is_error:
        raise _invalid(param, f"it cannot be turned into a grammar ({_why(messages[0])})")
    return rule


def _from_json_schema(response_format: dict[str, Any]) -> str:
    wrapper = response_format.get("json_schema")
    if not isinstance(wrapper, dict):
        raise _invalid(f"{PARAM}.json_schema", "it has to be an object")
    schema, strict = wrapper.get("schema", _ANY_OBJECT), wrapper.get("strict")
    if not isinstance(schema, dict):
        raise _invalid(f"{PARAM}.json_schema.schema", "it has to be an object")
    if strict is not None and not isinstance(strict, bool):
        raise _invalid(f"{PARAM}.json_schema.strict", "it has to be true or false")
    return grammar_from_schema(schema, f"{PARAM}.json_schema.schema", strict=bool(strict))


def _require_short(schema: dict[str, Any], param: str) -> None:
    if len(json.dumps(schema)) > MAX_SCHEMA_CHARACTERS:
        raise _invalid(param, f"it has more than {MAX_SCHEMA_CHARACTERS} characters")


def _parts(value: Any, path: str, depth: int = 0) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object in a schema, with where it is."""
    if depth > MAX_DEPTH and isinstance(value, dict | list):
        raise _invalid(path, f"it is nested more than {MAX_DEPTH} deep")
    if isinstance(value, dict):
        yield path, value
        for name, member in value.items():
            if name not in _VALUES:
                yield from _parts(member, f"{path}.{name}"[:200], depth + 1)
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from _parts(member, f"{path}[{index}]", depth + 1)


def _why(error: str) -> str:
    """The library's own words, without the place in a text that nobody has seen."""
    first = error.partition("\n   1 |")[0].replace("at 1(8): ", "", 1)
    return " ".join(first.split())[:MAX_REASON]


def _invalid(param: str, reason: str) -> OpenAIError:
    return OpenAIError(f"Invalid '{param}': {reason}.", param=param, code="invalid_value")
