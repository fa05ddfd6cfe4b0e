"""`response_format` as a grammar (GBNF) that the miner's sampler follows.

The converter is llama.cpp's own. It trusts what it reads and passes over what it does not know, so
that a schema is looked through first: nothing in it may be large, and `strict` means that nothing
in it is passed over.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from sessions.openai.errors import OpenAIError
from sessions.options import MAX_GRAMMAR_CHARACTERS

MAX_SCHEMA_CHARACTERS = 32_768
MAX_DEPTH = 24
MAX_REPETITIONS = 256
"""The largest bound of a length or a number of items: each is written out in the grammar."""
MAX_PATTERN_CHARACTERS = 256
MAX_OPTIONAL_PARTS = 16
"""Each keeps another way open, and the miner has to try every token on all of them."""
_LITERAL = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]")
_INNERMOST_GROUP = re.compile(r"\(([^()]*)\)([*+?]|\{[^}]*\}|)")
_REPEATED_TWICE = re.compile(r"[*+?}][{*+?]")
_MAY_BE_NOTHING = re.compile(r"[?*]|\{0|^\||\|\||\|$|^$")
PARAM = "response_format"
_ANY_OBJECT = {"type": "object"}
_BOUNDS = ("minItems", "maxItems", "minLength", "maxLength")
_UNHELD = frozenset(
    {
        *("not", "if", "then", "else", "dependentSchemas", "dependentRequired", "contains"),
        *("patternProperties", "propertyNames", "minProperties", "maxProperties", "uniqueItems"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("unevaluatedItems", "unevaluatedProperties", "minContains", "maxContains"),
        *("contentEncoding", "contentMediaType"),
    }
)
"""What no grammar of the converter's holds an answer to."""
_VALUES = ("const", "enum", "default", "examples")
"""What is under these is a value to be said, whatever it looks like."""
_HELD_FORMATS = ("date", "time", "date-time", "uuid")
_ANYTHING = {"type": ["string", "number", "boolean", "object", "array", "null"]}


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
    """The grammar of the JSON texts that fit a schema. Raises OpenAIError."""
    from llama_cpp.llama_grammar import json_schema_to_gbnf  # a library that only this needs

    _require_short(schema, param)
    for path, member in _parts(schema, param):
        _require_bounded(member, path)
        if strict and (unheld := sorted(_UNHELD & member.keys()) or _unheld_format(member)):
            raise _unsupported(f"{path}.{unheld[0]}", "a grammar cannot hold an answer to it")
    text = json.dumps(_declared(schema, param))
    try:
        # It reads nothing but the schema: references to other places are refused.
        grammar = str(json_schema_to_gbnf(text))
    except Exception as error:  # a client wrote the schema, and the converter trusts it
        raise _invalid(param, f"it cannot be turned into a grammar ({_why(error)})") from error
    if len(grammar) > MAX_GRAMMAR_CHARACTERS:
        raise _invalid(param, "its grammar is too large; simplify the schema")
    return grammar


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


def _declared(value: Any, path: str) -> Any:
    """A schema whose required properties are all declared: the converter passes over the others."""
    if isinstance(value, list):
        return [_declared(member, f"{path}[{index}]") for index, member in enumerate(value)]
    if not isinstance(value, dict):
        return value
    held = {
        name: member if name in _VALUES else _declared(member, f"{path}.{name}"[:200])
        for name, member in value.items()
    }
    required, properties = held.get("required"), held.get("properties", {})
    if not isinstance(required, list) or not isinstance(properties, dict):
        return held
    missing = [name for name in required if isinstance(name, str) and name not in properties]
    if not missing:
        return held
    if held.get("additionalProperties") is False:
        raise _invalid(f"{path}.required", f"its 'properties' have no {missing[0][:64]!r}")
    return (
        held | {"properties": properties | dict.fromkeys(missing, _ANYTHING)} if missing else held
    )


def _unheld_format(member: dict[str, Any]) -> list[str]:
    # A property may have this name; then it is an object.
    held = not isinstance(member.get("format"), str) or member["format"] in _HELD_FORMATS
    return [] if held else ["format"]


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


def _require_bounded(member: dict[str, Any], path: str) -> None:
    for name in _BOUNDS:
        bound = member.get(name)
        # A property may have the name of a bound; then it is an object.
        if isinstance(bound, int | float) and not 0 <= bound <= MAX_REPETITIONS:
            raise _invalid(f"{path}.{name}", f"0 to {MAX_REPETITIONS} is served here")
    pattern = member.get("pattern")
    if isinstance(pattern, str):
        _require_modest(pattern, f"{path}.pattern")


def _require_modest(pattern: str, path: str) -> None:
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise _invalid(path, f"it has more than {MAX_PATTERN_CHARACTERS} characters")
    bare = _LITERAL.sub("x", pattern[1:-1])
    optional = len(_MAY_BE_NOTHING.findall(bare))
    if optional > MAX_OPTIONAL_PARTS:
        raise _invalid(path, f"it has more than {MAX_OPTIONAL_PARTS} parts that may be missing")
    if _repeats_nothing(bare):
        raise _invalid(path, "it repeats a group with a part that may be missing")
    for braces in pattern.split("{")[1:]:
        for number in braces.partition("}")[0].split(","):
            if number.strip().isdecimal() and int(number[:6]) > MAX_REPETITIONS:
                raise _invalid(path, f"it repeats something more than {MAX_REPETITIONS} times")


def _repeats_nothing(bare: str) -> bool:
    """Whether a repeated group has parts that may be missing: then no token says how often."""
    if _REPEATED_TWICE.search(bare):
        return True
    while group := _INNERMOST_GROUP.search(bare):
        content, times = group.groups()
        may_be_nothing = _MAY_BE_NOTHING.search(content) is not None
        if may_be_nothing and times not in ("", "?"):
            return True
        kept = "x?" if may_be_nothing or times[:2] in ("?", "*", "{0") else "x"
        bare = bare[: group.start()] + kept + bare[group.end() :]
    return False


def _why(error: Exception) -> str:
    if isinstance(error, (AttributeError, TypeError, LookupError)):  # in Python's own words
        return "a member has a value that no schema has there"
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__


def _invalid(param: str, reason: str) -> OpenAIError:
    return OpenAIError(f"Invalid '{param}': {reason}.", param=param, code="invalid_value")


def _unsupported(param: str, reason: str) -> OpenAIError:
    message = f"'{param}' is not served here: {reason}."
    return OpenAIError(message, param=param, code="unsupported_parameter")
