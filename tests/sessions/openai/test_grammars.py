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


def test_a_required_property_that_is_not_declared_is_there_all_the_same() -> None:
    value = {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a", "zz"]}
    assert "zz" in grammar_of(schema(value))
    assert "zz" in grammar_of(schema({"type": "array", "items": {"required": ["zz"]}}))
    with pytest.raises(OpenAIError, match="zz") as refused:
        grammar_of(schema(value | {"additionalProperties": False}))
    assert refused.value.param == f"{SCHEMA}.required"


@pytest.mark.parametrize(("member", "value"), [("format", "email"), ("contentEncoding", "base64")])
def test_what_a_text_cannot_be_held_to_is_refused_where_strict_is_asked(
    member: str, value: str
) -> None:
    asked = schema({"type": "object", "properties": {"a": {"type": "string", member: value}}})
    assert "root ::=" in grammar_of(asked)
    asked["json_schema"]["strict"] = True
    with pytest.raises(OpenAIError, match="cannot hold") as refused:
        grammar_of(asked)
    assert refused.value.param == f"{SCHEMA}.properties.a.{member}"


@pytest.mark.parametrize("value", [{"properties": 5}, {"type": "string", "minLength": "a"}])
def test_a_schema_that_is_none_is_refused_in_words_for_its_author(value: Any) -> None:
    with pytest.raises(OpenAIError) as refused:
        grammar_of(schema(value))
    assert "'" not in refused.value.message.removeprefix(f"Invalid '{SCHEMA}'")


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
    assert "root ::=" in grammar_of(schema({"type": "string", "pattern": pattern}))


@pytest.mark.parametrize("unheld", [{"minimum": 3}, {"uniqueItems": True}, {"not": {}}])
def test_what_no_grammar_holds_is_passed_over_unless_the_schema_is_strict(
    unheld: dict[str, Any],
) -> None:
    loose = schema({"type": "integer"} | unheld)
    assert "root ::=" in grammar_of(loose)
    loose["json_schema"]["strict"] = True
    with pytest.raises(OpenAIError) as refused:
        grammar_of(loose)
    assert refused.value.param == f"{SCHEMA}.{next(iter(unheld))}"
    assert refused.value.code == "unsupported_parameter"


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
        (schema({"type": "array", "items": {}, "minItems": 10**9}), f"{SCHEMA}.minItems"),
        (schema({"type": "string", "pattern": "^a{9999999}$"}), f"{SCHEMA}.pattern"),
        (schema({"type": "string", "pattern": "^" + "a" * 300 + "$"}), f"{SCHEMA}.pattern"),
        *(
            (schema({"type": "string", "pattern": pattern}), f"{SCHEMA}.pattern")
            for pattern in ("^(a?){99}$", "^((a*)b){9}$", "^((ab)*){2}$", "^a?{99}$", "^(a|){9}$")
        ),
        (schema({"type": "string", "pattern": f"^{'a?' * 20}$"}), f"{SCHEMA}.pattern"),
        (schema(nested(12, maxItems=256)), SCHEMA),
        (schema(nested(30)), SCHEMA + ".items" * 25),
    ],
)
def test_what_is_no_format_is_refused_by_name(value: Any, param: str) -> None:
    with pytest.raises(OpenAIError) as refused:
        grammar_of(value)
    assert refused.value.param == param
