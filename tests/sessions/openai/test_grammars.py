"""A response format becomes a grammar, or a refusal that names the culprit."""

from typing import Any

import pytest

from sessions.openai.errors import OpenAIError
from sessions.openai.grammars import grammar_of


def schema(value: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": value}}


SCHEMA = "response_format.json_schema.schema"


def nested(times: int, **bounds: int) -> dict[str, Any]:
    """Lists of lists."""
    inner: dict[str, Any] = {"type": "string"}
    for _ in range(times):
        inner = {"type": "array", "items": inner} | bounds
    return inner


def test_text_needs_no_grammar() -> None:
    assert grammar_of({"type": "text"}) == ""


def test_a_json_object_is_any_object() -> None:
    assert "start: %json" in grammar_of({"type": "json_object"})


def test_a_schemas_members_are_in_its_grammar() -> None:
    value = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "size": {"$ref": "#/$defs/size"}},
        "required": ["city", "size"],
        "$defs": {"size": {"enum": ["small", "large"]}},
    }
    grammar = grammar_of(schema(value))
    assert all(word in grammar for word in ("start: %json", "city", "small", "large"))


@pytest.mark.parametrize("value", [{"properties": 5}, {"type": "string", "minLength": "a"}])
def test_a_schema_that_is_none_is_refused_in_words_for_its_author(value: Any) -> None:
    with pytest.raises(OpenAIError) as refused:
        grammar_of(schema(value))
    assert "must be" in refused.value.message or "Expected" in refused.value.message


def test_a_property_may_have_the_name_of_a_bound() -> None:
    named = {"type": "object", "properties": {"minItems": {"type": "string"}}}
    assert "minItems" in grammar_of(schema(named))


@pytest.mark.parametrize(
    "pattern",
    [
        "^[0-9]{3}-[0-9]{4}$",
        "^(ab)*$",
        r"^\+?[0-9]{1,3}( [0-9]{2}){2,4}$",
        "^((ab){2}){2}$",
        "^(red|green)?$",
        "^[?*]$",
    ],
)
def test_a_modest_pattern_is_held(pattern: str) -> None:
    assert "start: %json" in grammar_of(schema({"type": "string", "pattern": pattern}))


@pytest.mark.parametrize("unheld", [{"uniqueItems": True}, {"contains": {"type": "null"}}])
def test_what_no_grammar_holds_is_passed_over_unless_the_schema_is_strict(
    unheld: dict[str, Any],
) -> None:
    loose = schema({"type": "array"} | unheld)
    assert "start: %json" in grammar_of(loose)
    loose["json_schema"]["strict"] = True
    with pytest.raises(OpenAIError, match=next(iter(unheld))) as refused:
        grammar_of(loose)
    assert refused.value.param == SCHEMA


@pytest.mark.parametrize("text", ["\ud83d", "a\udc00b"])
def test_half_a_character_is_refused(text: str) -> None:
    for value in ({"type": "string", "pattern": f"^{text}$"}, {"enum": [text]}):
        with pytest.raises(OpenAIError) as refused:
            grammar_of(schema(value))
        assert refused.value.param == SCHEMA


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ("json", "response_format"),
        ({"type": "xml"}, "response_format"),
        ({"type": "json_schema"}, "response_format.json_schema"),
        (schema("object"), "response_format.json_schema.schema"),
        (schema({"type": "mystery"}), "response_format.json_schema.schema"),
        (schema({"$ref": "https://example.org/a.json"}), "response_format.json_schema.schema"),
        (schema({"type": "string", "pattern": "^[b-a]$"}), "response_format.json_schema.schema"),
        (schema({"$ref": "#/nowhere"}), "response_format.json_schema.schema"),
        (schema({"enum": ["x" * 40_000]}), "response_format.json_schema.schema"),
        (schema(nested(30)), SCHEMA + ".items" * 25),
    ],
)
def test_what_is_no_format_is_refused_by_name(value: Any, param: str) -> None:
    with pytest.raises(OpenAIError) as refused:
        grammar_of(value)
    assert refused.value.param == param
