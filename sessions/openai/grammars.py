"""`response_format` as a grammar (GBNF) that the miner's sampler follows."""

import json
from typing import Any

from sessions.openai.errors import OpenAIError
from sessions.options import MAX_GRAMMAR_CHARACTERS

MAX_SCHEMA_CHARACTERS = 32_768
PARAM = "response_format"
_ANY_OBJECT = {"type": "object"}


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
            return _from_schema(_ANY_OBJECT, PARAM)
        case "json_schema":
            return _from_schema(*_schema_in(response_format))
    raise _invalid(PARAM, "its 'type' has to be 'text', 'json_object' or 'json_schema'")


def _schema_in(response_format: dict[str, Any]) -> tuple[dict[str, Any], str]:
    wrapper = response_format.get("json_schema")
    if not isinstance(wrapper, dict):
        raise _invalid(f"{PARAM}.json_schema", "it has to be an object")
    schema = wrapper.get("schema", _ANY_OBJECT)
    if not isinstance(schema, dict):
        raise _invalid(f"{PARAM}.json_schema.schema", "it has to be an object")
    return schema, f"{PARAM}.json_schema.schema"


def _from_schema(schema: dict[str, Any], param: str) -> str:
    from llama_cpp.llama_grammar import json_schema_to_gbnf  # a library that only this needs

    text = json.dumps(schema)
    if len(text) > MAX_SCHEMA_CHARACTERS:
        raise _invalid(param, f"it has more than {MAX_SCHEMA_CHARACTERS} characters")
    try:
        # It reads nothing but the schema: references to other places are refused.
        grammar = str(json_schema_to_gbnf(text))
    except Exception as error:  # a client wrote the schema, and the converter trusts it
        raise _invalid(param, "it cannot be turned into a grammar") from error
    if len(grammar) > MAX_GRAMMAR_CHARACTERS:
        raise _invalid(param, "its grammar is too large; simplify the schema")
    return grammar


def _invalid(param: str, reason: str) -> OpenAIError:
    return OpenAIError(f"Invalid '{param}': {reason}.", param=param, code="invalid_value")
