"""A response format becomes a grammar, or a refusal that names the culprit."""

from typing import Any

import pytest

from sessions.openai.errors import OpenAIError
from sessions.openai.grammars import grammar_of


def schema(value: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": value}}


def test_text_needs_no_grammar() -> None:
    assert grammar_of({"type": "text"}) == ""


def test_a_json_object_is_any_object() -> None:
    assert "root ::=" in grammar_of({"type": "json_object"})


def test_a_schemas_members_are_in_its_grammar() -> None:
    value = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "size": {"$ref": "#/$defs/size"}},
        "required": ["city", "size"],
        "$defs": {"size": {"enum": ["small", "large"]}},
    }
    grammar = grammar_of(schema(value))
    assert all(word in grammar for word in ("root ::=", "city", "small", "large"))


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ("json", "response_format"),
        ({"type": "xml"}, "response_format"),
        ({"type": "json_schema"}, "response_format.json_schema"),
        (schema("object"), "response_format.json_schema.schema"),
        (schema({"type": "mystery"}), "response_format.json_schema.schema"),
        (schema({"$ref": "https://example.org/a.json"}), "response_format.json_schema.schema"),
        (schema({"$ref": "#/nowhere"}), "response_format.json_schema.schema"),
        (schema({"enum": ["x" * 40_000]}), "response_format.json_schema.schema"),
    ],
)
def test_what_is_no_format_is_refused_by_name(value: Any, param: str) -> None:
    with pytest.raises(OpenAIError) as refused:
        grammar_of(value)
    assert refused.value.param == param
