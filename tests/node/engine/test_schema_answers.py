"""A model's answer under a client's schema fits the schema, at the highest temperature."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from mining.node.engine.batch_engine import Engine
from mining.node.engine.generation import FinishReason
from mining.node.protocol.sampling_params import SamplingParams
from sessions.faces.openai.requests.grammars import grammar_from_schema
from sessions.faces.openai.requests.tools import Tools, read_tools
from tests.node.generation_requests import request

SIZE: dict[str, Any] = {
    "type": "object",
    "properties": {"size": {"allOf": [{"$ref": "#/$defs/Size"}], "default": "small"}},
    "required": ["size"],
    "additionalProperties": False,
    "$defs": {"Size": {"enum": ["small", "large"]}},
}
SCHEMAS: dict[str, Any] = {
    "an enum behind references": SIZE,
    "an enum or null": {"type": ["string", "null"], "enum": ["a", "b", None]},
    "an emoji": {"const": "😀"},
    "a NUL, a quote and a backslash": {"const": '\0"\\'},
    "a pattern of dots": {"type": "string", "pattern": "^.{1,12}$"},
    "a pattern without commas": {"type": "string", "pattern": "^[^,]{1,12}$"},
    "any string": {"type": "string", "maxLength": 20},
    "members of choices": {
        "type": "object",
        "properties": {"a": {"type": "integer", "minimum": 3, "maximum": 90}},
        "required": ["a"],
        "anyOf": [
            {"properties": {"b": {"type": "null"}}, "required": ["b"]},
            {"properties": {"c": {"type": "boolean"}}, "required": ["c"]},
        ],
        "unevaluatedItems": True,
        "maxProperties": 2,
    },
}
HOT = SamplingParams(temperature=2.0)


def said(engine: Engine, grammar: str, seed: int) -> str:
    asked = request(engine, seed, grammar=grammar, sampling=HOT, max_tokens=400)
    result = engine.submit(asked).result()
    assert result.finish_reason is FinishReason.STOP
    return result.text


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_answer_fits_its_schema_at_any_temperature(engine: Engine, name: str) -> None:
    schema = SCHEMAS[name]
    grammar = grammar_from_schema(schema, "schema", strict=True).lark
    for seed in range(5):
        text = said(engine, grammar, seed)
        assert Draft202012Validator(schema).is_valid(json.loads(text)), text


@pytest.mark.parametrize("choice", ["required", "auto"])
def test_a_call_fits_its_functions_schema(engine: Engine, choice: str) -> None:
    functions = [
        {"type": "function", "function": {"name": name, "parameters": SIZE, "strict": True}}
        for name in ("pick", "drop")
    ]
    read = read_tools({"tools": functions, "tool_choice": choice})
    assert isinstance(read, Tools)
    for seed in range(3):
        asked = request(engine, seed, grammar=read.grammar.lark, sampling=HOT, max_tokens=400)
        result = engine.submit(asked).result()
        if choice == "auto" and not result.text.startswith("{"):
            continue
        call = json.loads(result.text)
        assert call["name"] in ("pick", "drop")
        assert call["arguments"] in ({"size": "small"}, {"size": "large"})
