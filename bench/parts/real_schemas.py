"""Ten schemas like those that real clients send."""

from typing import Any

_TEXT: dict[str, Any] = {"type": "string"}


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(items: Any, **bounds: int) -> dict[str, Any]:
    return {"type": "array", "items": items, **bounds}


def _optional(kind: str) -> dict[str, Any]:
    return {"type": [kind, "null"]}


_CONTACT = _object(
    name=_TEXT,
    email={"type": "string", "format": "email"},
    phones=_list({"type": "string", "pattern": r"^\+?[0-9 ]{6,15}$"}, maxItems=3),
)

SCHEMAS: dict[str, dict[str, Any]] = {
    "weather call": _object(
        location=_TEXT, unit={"enum": ["celsius", "fahrenheit"]}, days={"type": "integer"}
    ),
    "one of three calls": {
        "anyOf": [
            _object(name={"const": "search"}, arguments=_object(query=_TEXT)),
            _object(name={"const": "add"}, arguments=_object(a={"type": "number"}, b=_TEXT)),
            _object(name={"const": "mail"}, arguments=_object(to=_TEXT, subject=_TEXT, body=_TEXT)),
        ]
    },
    "contacts": _list(_CONTACT, minItems=1, maxItems=5),
    "calendar event": _object(
        title=_TEXT,
        starts={"type": "string", "format": "date-time"},
        people=_list(_TEXT),
        place=_optional("string"),
    ),
    "table": _object(rows=_list(_list({"type": "number"}, minItems=3, maxItems=3), minItems=2)),
    "sentiment": _object(
        label={"enum": ["positive", "neutral", "negative"]},
        score={"type": "number", "minimum": 0, "maximum": 1},
        reasons=_list(_TEXT, maxItems=4),
    ),
    "one of 1,000": _object(code={"enum": [f"ITEM-{n * 7919 % 100_003:06d}" for n in range(1000)]}),
    "tree": {
        "$ref": "#/$defs/node",
        "$defs": {"node": _object(name=_TEXT, children=_list({"$ref": "#/$defs/node"}))},
    },
    "order": _object(
        id={"type": "string", "format": "uuid"},
        lines=_list(_object(sku=_TEXT, count={"type": "integer", "minimum": 1}, price=_TEXT)),
        note=_optional("string"),
    ),
    "steps to an answer": _object(
        steps=_list(_object(explanation=_TEXT, output=_TEXT), minItems=1), final_answer=_TEXT
    ),
}
