"""A response format becomes a grammar that enforces it, or a refusal that names the cause."""

from typing import Any

import pytest

from bench.parts.followed import Followed
from sessions.faces.openai.errors import OpenAIError
from sessions.faces.openai.requests.grammars import AnswerGrammar, grammar_of
from tests.work import counted

SCHEMA = "response_format.json_schema.schema"
SIZE: dict[str, Any] = {"$defs": {"Size": {"enum": ["small", "large"], "type": "string"}}}
SIZE_REF = {"$ref": "#/$defs/Size"}


def schema(value: Any, **settings: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": value} | settings}


def grammar(value: Any, *, strict: bool = True) -> AnswerGrammar:
    found = grammar_of(schema(value, strict=strict))
    assert found is not None
    return found


def followed(value: Any) -> Followed:
    return Followed(grammar(value).lark)


def of(name: str, member: Any, **members: Any) -> dict[str, Any]:
    """An object with one required property."""
    return {"type": "object", "properties": {name: member}, "required": [name]} | members


def nested(times: int, **bounds: int) -> dict[str, Any]:
    """Lists of lists."""
    inner: dict[str, Any] = {"type": "string"}
    for _ in range(times):
        inner = {"type": "array", "items": inner} | bounds
    return inner


def test_text_needs_no_grammar() -> None:
    assert grammar_of({"type": "text"}) is None


def test_a_json_object_is_any_object() -> None:
    found = grammar_of({"type": "json_object"})
    assert found is not None
    answer = Followed(found.lark)
    assert answer.admits('{"a": [1, {"b": null}]}')
    assert not answer.admits("[1]")


@pytest.mark.parametrize(
    ("value", "held", "refused"),
    [
        # What pydantic writes for an enum with a default.
        (
            of("size", {"allOf": [SIZE_REF], "default": "small"}) | SIZE,
            [{"size": "small"}],
            [{}, {"size": {}}, {"size": "other"}],
        ),
        (
            of("a", {"type": "integer"}, anyOf=[{"required": ["b"]}, {"required": ["c"]}]),
            [{"a": 1, "b": 2}, {"a": 1, "c": "x"}],
            [{"a": 1}, {"a": "x", "b": 2}],
        ),
        (
            of(
                "kind",
                {"type": "string"},
                oneOf=[
                    {"properties": {"kind": {"const": "a"}, "x": {"type": "integer"}}},
                    {"properties": {"kind": {"const": "b"}, "x": {"type": "null"}}},
                ],
            ),
            [{"kind": "a", "x": 1}, {"kind": "b", "x": None}, {"kind": "a"}],
            [{"kind": "a", "x": None}, {"kind": "b", "x": 1}, {"kind": "c"}],
        ),
        ({"type": ["string", "null"], "enum": ["a", "b", None]}, ["a", None], ["c", 1, "null"]),
        ({"type": ["string", "null"], "enum": ["a", None, 3]}, ["a", None], [3]),
        ({"type": ["array", "null"], "items": {"type": "integer"}}, [[1], None, []], [["x"]]),
        (
            of("a", {"type": "integer"}) | {"type": ["object", "null"]},
            [{"a": 1}, None],
            [{"a": "x"}, {}],
        ),
        ({"type": ["string", "null"], "pattern": "^a+$"}, ["aa", None], ["b", ""]),
        *(
            ({"const": each}, [each], ["x", ""])
            for each in ("😀", "a\nb", "\t", '"', "\0", "\\", "\x7f")
        ),
        ({"enum": ["😀", "a\nb", '"', "\\", "\0"]}, ["😀", "a\nb", '"', "\\", "\0"], ["n", "u"]),
        ({"type": "string", "pattern": "^.$"}, ["a", '"', "\\", "😀", "\t"], ["", "\n", "ab"]),
        ({"type": "string", "pattern": "^[^,]$"}, ['"', "\\", "\n"], [",", ""]),
        # The library takes these classes for more than they are.
        ({"type": "string", "pattern": '^[^"]$'}, ["a", "\\", "\n", "\0"], ['"']),
        ({"type": "string", "pattern": r"^[^\\]$"}, ["a", '"', "\n"], ["\\"]),
        ({"type": "array", "items": {}}, [[1, "a", {"b": []}]], [{}]),
        (of("any", {"title": "Any"}), [{"any": 1}, {"any": [None]}], [{}]),
        ({"type": "string", "maxLength": 65_536}, ["a"], [1]),
        # Further properties cannot be said twice by escapes.
        (of("a", {"type": "integer"}), [{"a": 1}, {"a": 1, "b": "x"}], [{"a": "x"}]),
        ({"pattern": "a"}, ["xax", 7, None], ["x"]),
        ({"minimum": 3}, [3, 3.5, "x"], [2, 2.99]),
        ({"type": "integer", "minimum": 1.5}, [2], [1]),
        ({"properties": {"a": {"type": "null"}}}, [{"a": None}, {}, [], 1], [{"a": 1}]),
        (of("a", {}, additionalProperties=False), [{"a": 1}], [{"a": 1, "b": 2}, {}]),
        ({"type": "array", "contains": {"const": 1}, "maxItems": 3}, [[1], ["x", 1]], [[], [2]]),
        ({"not": {"enum": ["a", "ab"]}, "type": "string"}, ["", "b", "abc"], ["a", "ab"]),
        ({"not": {"type": "string"}}, [1, None, {}], ["a"]),
        (
            {"type": "object", "dependentRequired": {"a": ["b"]}},
            [{}, {"b": 1}, {"a": 1, "b": 1}],
            [{"a": 1}],
        ),
        (
            of("k", {"type": "string"})
            | {"if": {"properties": {"k": {"const": "x"}}}, "then": {"required": ["v"]}},
            [{"k": "y"}, {"k": "x", "v": 1}],
            [{"k": "x"}],
        ),
        ({"type": "object", "minProperties": 1, "maxProperties": 2}, [{"a": 1}], [{}]),
        (
            {"type": "object", "propertyNames": {"pattern": "^[a-z]+$"}},
            [{"ab": 1}, {}],
            [{"A": 1}, {"a1": 1}],
        ),
        ({"type": "string", "format": "date"}, ["2024-02-29"], ["2023-02-29", "2023-13-01"]),
        ({"$ref": "#/definitions/a", "definitions": {"a": {"type": "null"}}}, [None], [1]),
        (
            {"type": "string", "pattern": r"^(?=.*\d)(?=.*[a-z])[a-z\d]{3,4}$"},
            ["a1b"],
            ["abc", "1"],
        ),
    ],
)
def test_what_a_schema_says_is_held(value: Any, held: list[Any], refused: list[Any]) -> None:
    answer = followed(value)
    assert [each for each in held if not answer.admits_value(each)] == []
    assert [each for each in refused if answer.admits_value(each)] == []


def test_a_further_property_is_not_a_named_one_in_other_letters() -> None:
    answer = followed(of("a", {"type": "integer"}))
    assert not answer.admits(r'{"a": 1, "\u0061": "x"}')
    assert not answer.admits('{"a": 1, "a": "x"}')
    patterned = {"patternProperties": {"^a$": {"type": "integer"}}, "type": "object"}
    assert not followed(patterned).admits(r'{"\u0061": "x"}')


@pytest.mark.parametrize("text", ['"\n"', '"\x01"', '"\t"', '"a', '"\\x"', '"\ufffe', '"\\ud83d"'])
def test_a_string_is_always_json(text: str) -> None:
    assert not followed({"type": "string"}).admits(text)


def test_white_space_stands_behind_commas_and_colons_only() -> None:
    answer = followed({"type": "object"})
    assert answer.admits('{"a": [1, 2]}')
    for text in ('{ "a": 1}', '{"a":  1}', '{"a": 1 }', '{"a": 1,\n"b": 2}', ' {"a": 1}'):
        assert not answer.admits(text)


def test_a_recursive_schema_is_held() -> None:
    tree: dict[str, Any] = {
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {
                    "value": {"type": "integer"},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                },
                "required": ["value", "children"],
                "additionalProperties": False,
            }
        },
        "$ref": "#/$defs/Node",
    }
    answer = followed(tree)
    assert answer.admits_value({"value": 1, "children": [{"value": 2, "children": []}]})
    assert not answer.admits_value({"value": 1, "children": [{"value": "x", "children": []}]})


@pytest.mark.parametrize(
    ("value", "member"),
    [
        (of("a", {"type": "string", "format": "regex"}), "properties.a.format"),
        (of("a", {"type": "string", "contentEncoding": "base64"}), "properties.a.contentEncoding"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"type": "array", "contains": {"type": "null"}}, "contains"),
        ({"type": "string", "pattern": r"^\bx"}, "pattern"),
        ({"type": "string", "pattern": "^(?!a)x"}, "pattern"),
        ({"type": "string", "pattern": r"^(a)\1$"}, "pattern"),
        ({"$ref": "https://example.org/a.json"}, "$ref"),
        ({"$dynamicRef": "#a"}, "$dynamicRef"),
        (of("a", {}, unevaluatedProperties=False, allOf=[{}]), "unevaluatedProperties"),
        ({"type": "array", "items": {}, "minItems": 10**9}, "minItems"),
        ({"type": "number", "multipleOf": 123_457}, "multipleOf"),
        ({"type": "integer", "maximum": 2**60 + 1}, "maximum"),
        ({"not": {"type": "string", "pattern": "^a"}}, "not"),
        ({"oneOf": [{"type": "integer"}, {"minimum": 2}]}, "oneOf"),
        (
            {"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "uniqueItems": True}}},
            "$defs.a.uniqueItems",
        ),
    ],
)
def test_what_cannot_be_held_is_refused_by_name_or_passed_over_by_name(
    value: dict[str, Any], member: str
) -> None:
    with pytest.raises(OpenAIError) as refused:
        grammar(value)
    assert refused.value.code == "unsupported_parameter"
    assert refused.value.param == f"{SCHEMA}.{member}"
    loose = grammar(value, strict=False)
    assert list(loose.passed_over) == [f"{SCHEMA}.{member}"]
    Followed(loose.lark)


def test_what_is_passed_over_leaves_the_rest_held() -> None:
    value = of(
        "a", {"type": "string", "format": "regex", "maxLength": 2}, additionalProperties=False
    )
    answer = Followed(grammar(value, strict=False).lark)
    assert answer.admits_value({"a": "xy"})
    assert not answer.admits_value({"a": "xyz"})
    assert not answer.admits_value({"a": "x", "b": 1})
    either = {"oneOf": [{"type": "integer"}, {"minimum": 2, "type": "number"}]}
    assert not Followed(grammar(either, strict=False).lark).admits_value(1.5)


def test_what_nothing_refers_to_and_what_no_value_has_need_not_be_held() -> None:
    value = {"type": "integer", "format": "int32", "pattern": "(?<!a)", "uniqueItems": True}
    unused = {"$defs": {"a": {"type": "array", "uniqueItems": True}}, "x-mine": {"type": "b"}}
    assert followed(value | unused).admits("7")


@pytest.mark.parametrize("text", ["\ud83d", "a\udc00b"])
@pytest.mark.parametrize(
    ("make", "member"),
    [
        (lambda text: {"type": "string", "pattern": f"^{text}$"}, ".pattern"),
        (lambda text: {"enum": ["a", text]}, ".enum[1]"),
        (lambda text: {"const": text}, ".const"),
        (lambda text: of("a", {"description": text}), ".properties.a.description"),
        (lambda text: {"properties": {text: {}}}, ".properties"),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_half_a_character_is_refused_by_name(
    text: str, make: Any, member: str, strict: bool
) -> None:
    with pytest.raises(OpenAIError) as refused:
        grammar(make(text), strict=strict)
    assert (refused.value.code, refused.value.param) == ("invalid_value", f"{SCHEMA}{member}")


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ("json", "response_format"),
        ({"type": "xml"}, "response_format"),
        ({"type": "json_schema"}, "response_format.json_schema"),
        (schema("object"), SCHEMA),
        (schema({}, strict=1), "response_format.json_schema.strict"),
        (schema({"type": "mystery"}), f"{SCHEMA}.type"),
        (schema({"type": []}), f"{SCHEMA}.type"),
        (schema({"properties": 5}), f"{SCHEMA}.properties"),
        (schema({"properties": {"a": 5}}), f"{SCHEMA}.properties.a"),
        (schema({"type": "string", "minLength": "a"}), f"{SCHEMA}.minLength"),
        (schema({"type": "string", "minLength": -1}), f"{SCHEMA}.minLength"),
        (schema({"type": "number", "minimum": True}), f"{SCHEMA}.minimum"),
        (schema({"type": "number", "minimum": float("inf")}), f"{SCHEMA}.minimum"),
        (schema({"type": "number", "multipleOf": 0}), f"{SCHEMA}.multipleOf"),
        (schema({"required": "a"}), f"{SCHEMA}.required"),
        (schema({"enum": 5}), f"{SCHEMA}.enum"),
        (schema({"enum": []}), SCHEMA),
        (schema({"anyOf": []}), f"{SCHEMA}.anyOf"),
        (schema({"allOf": {}}), f"{SCHEMA}.allOf"),
        (schema({"type": "string", "pattern": "^[b-a]$"}), f"{SCHEMA}.pattern"),
        (schema({"type": "string", "pattern": "("}), f"{SCHEMA}.pattern"),
        (schema({"type": "string", "pattern": "a" * 3_000}), f"{SCHEMA}.pattern"),
        (schema({"$ref": "#/nowhere"}), f"{SCHEMA}.$ref"),
        (schema({"$ref": 5}), f"{SCHEMA}.$ref"),
        (schema({"$ref": "#"}), SCHEMA),
        (schema({"allOf": [{"$ref": "#"}]}), SCHEMA),
        (schema({"enum": ["x" * 140_000]}), SCHEMA),
        (schema(of("a", {"type": "null"}, required=["b"], additionalProperties=False)), SCHEMA),
        (schema(of("next", {"$ref": "#"})), SCHEMA),
        (schema({"const": 1, "type": "string"}), SCHEMA),
        (schema({"minimum": 3, "maximum": 2, "type": "number"}), SCHEMA),
        (schema(nested(70)), f"{(SCHEMA + '.items' * 65)[:255]}…"),
    ],
)
def test_what_is_no_format_is_refused_by_name(value: Any, param: str) -> None:
    with pytest.raises(OpenAIError) as refused:
        grammar_of(value)
    assert (refused.value.param, refused.value.code) == (param, "invalid_value")


def test_a_schema_with_an_enum_of_a_thousand_is_held() -> None:
    words = [f"word number {number} of a thousand" for number in range(1_000)]
    answer = followed(of("word", {"enum": words}))
    assert answer.admits_value({"word": words[789]})
    assert not answer.admits_value({"word": "word"})


HOSTILE: dict[str, Any] = {
    "references that double": {
        "$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}
        | {"d40": {"type": "null"}},
        "$ref": "#/$defs/d0",
    },
    "choices that multiply": {
        "allOf": [{"anyOf": [{"required": [f"{a}{b}"]} for b in range(8)]} for a in range(8)]
    },
    "a long row of references": {
        "$defs": {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(400)} | {"d400": {}},
        "$ref": "#/$defs/d0",
    },
    "a long chain of objects": {
        "$defs": {f"d{n}": of("n", {"$ref": f"#/$defs/d{n + 1}"}) for n in range(2_000)}
        | {"d2000": {"type": "null"}},
        "$ref": "#/$defs/d0",
    },
    "lists of lists of many": nested(12, maxItems=4_096),
    "a pattern of groups": {"type": "string", "pattern": "(" * 900 + "a" + ")" * 900},
    "patterns in patterns": {"type": "string", "pattern": "^((a{99}){99}){99}$"},
    "a pattern that backtracks": {
        "type": "string",
        "pattern": "^(a|aa|a*)*$",
        "enum": ["a" * 5_000 + "b", "a"],
    },
    "many required of many": {
        "type": "object",
        "properties": {f"p{n}": {"type": "integer"} for n in range(200)},
        "minProperties": 100,
    },
    "many that may be missing": {
        "type": "object",
        "properties": {f"p{n}": {"type": "integer"} for n in range(3_000)},
    },
    "complements of complements": {
        "not": {"anyOf": [{"not": {"required": [f"p{n}"], "type": "object"}} for n in range(30)]}
    },
    "one of many that overlap": {"oneOf": [{"required": [f"p{n}"]} for n in range(14)]},
}


MAX_CALLS = 20_000_000
"""Of functions: some seconds of a thread, where a schema of 10 kB might ask for years."""


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("strict", [False, True])
def test_a_hostile_schema_costs_little(name: str, strict: bool) -> None:
    def outcome() -> tuple[str, str]:
        try:
            return grammar(HOSTILE[name], strict=strict).lark, SCHEMA
        except OpenAIError as error:
            return "", error.param or ""

    (lark, param), calls = counted(outcome)
    assert calls < MAX_CALLS
    assert param.startswith(SCHEMA)
    if lark:
        Followed(lark)
