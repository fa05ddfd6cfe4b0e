"""JSON schemas from common generators are enforced strictly."""

import json
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from openai.lib._pydantic import to_strict_json_schema
from pydantic import BaseModel, Field

from bench.parts.followed import Followed
from sessions.faces.openai.requests.grammars import grammar_from_schema


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(ge=0, le=9)


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str | None = None


class Node(BaseModel):
    value: int
    children: list["Node"]


class Order(BaseModel):
    """A model with most of what models have."""

    size: Size = Field(default=Size.SMALL, description="how large")
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    note: str | None = None
    made: datetime
    day: date
    key: UUID
    counts: dict[str, int]
    pair: tuple[int, str]
    share: float = Field(gt=0, lt=1)
    code: str = Field(pattern="^[A-Z]{3}$", min_length=3, max_length=3)
    extra: Any = None
    tree: Node


ORDER: dict[str, Any] = {
    "size": "large",
    "pet": {"kind": "cat", "lives": 9},
    "note": None,
    "made": "2024-02-29T10:00:00Z",
    "day": "2024-02-29",
    "key": "00000000-0000-4000-8000-000000000000",
    "counts": {"a": 1},
    "pair": [1, "x"],
    "share": 0.5,
    "code": "ABC",
    "extra": [{"anything": None}],
    "tree": {"value": 1, "children": [{"value": 2, "children": []}]},
}
WRONG: dict[str, Any] = {
    "size": "huge",
    "pet": {"kind": "cat", "lives": 10},
    "note": 1,
    "made": "2023-02-29T10:00:00Z",
    "day": "yesterday",
    "key": "no",
    "counts": {"a": "x"},
    "pair": [1],
    "share": 1,
    "code": "ABCD",
    "tree": {"value": 1, "children": [{}]},
}


def text_of(value: dict[str, Any], **changed: Any) -> str:
    return json.dumps(value | changed, ensure_ascii=False)


def held(schema: dict[str, Any]) -> Followed:
    found = grammar_from_schema(schema, "schema", strict=True)
    assert not found.passed_over
    return Followed(found.lark)


@pytest.fixture(scope="module")
def order() -> Followed:
    return held(Order.model_json_schema())


def test_a_model_of_pydantic_is_held(order: Followed) -> None:
    assert order.admits(text_of(ORDER))
    assert Order.model_validate(ORDER)


@pytest.mark.parametrize("name", WRONG)
def test_no_wrong_member_of_a_model_can_be_said(order: Followed, name: str) -> None:
    assert not order.admits(text_of(ORDER, **{name: WRONG[name]}))


def test_what_openais_client_makes_of_a_model_is_held() -> None:
    class Reply(BaseModel):
        size: Size = Size.SMALL
        note: str | None = None
        steps: list[Cat]

    answer = held(to_strict_json_schema(Reply))
    reply = {"size": "small", "note": None, "steps": [{"kind": "cat", "lives": 1}]}
    assert answer.admits(text_of(reply))
    assert not answer.admits(text_of({"size": "small", "note": None}))
    assert not answer.admits(text_of(reply, more=1))


# As zod's `toJSONSchema` writes it, and `zod-to-json-schema` before it.
ZOD = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "id": {"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991},
        "kind": {"type": "string", "enum": ["a", "b"]},
        "when": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
        "tags": {"minItems": 1, "type": "array", "items": {"type": "string", "minLength": 1}},
        "either": {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {"type": {"type": "string", "const": kind}},
                    "required": ["type"],
                    "additionalProperties": False,
                }
                for kind in ("x", "y")
            ]
        },
        "map": {
            "type": "object",
            "propertyNames": {"type": "string"},
            "additionalProperties": {"type": "number"},
        },
    },
    "required": ["id", "kind", "when", "tags", "either", "map"],
    "additionalProperties": False,
}
OLDER_ZOD = {
    "$ref": "#/definitions/answer",
    "definitions": {
        "answer": {
            "type": "object",
            "properties": {
                "pair": {
                    "type": "array",
                    "minItems": 2,
                    "maxItems": 2,
                    "items": [{"type": "string"}, {"type": "number"}],
                },
                "above": {"type": "number", "exclusiveMinimum": 0},
                "again": {"$ref": "#/definitions/answer/properties/pair"},
            },
            "required": ["pair", "above"],
            "additionalProperties": False,
        }
    },
    "$schema": "http://json-schema.org/draft-07/schema#",
}


def test_a_schema_of_zod_is_held() -> None:
    answer = held(ZOD)
    value: dict[str, Any] = {
        "id": 1,
        "kind": "a",
        "when": None,
        "tags": ["t"],
        "either": {"type": "y"},
        "map": {"é": 1.5},
    }
    assert answer.admits(text_of(value))
    for name, wrong in (("kind", "c"), ("tags", []), ("either", {"type": "z"}), ("when", "now")):
        assert not answer.admits(text_of(value, **{name: wrong}))
    older = held(OLDER_ZOD)
    assert older.admits(text_of({"pair": ["a", 1], "above": 0.1, "again": ["b", 2]}))
    assert not older.admits(text_of({"pair": [1, "a"], "above": 0.1}))
    assert not older.admits(text_of({"pair": ["a", 1], "above": 0}))
