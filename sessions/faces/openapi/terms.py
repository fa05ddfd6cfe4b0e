"""The words of JSON Schema that describe `/v1`."""

from typing import Any

Schema = dict[str, Any]


def text(**bounds: Any) -> Schema:
    """A string."""
    return {"type": "string"} | bounds


def whole(least: int, most: int | None = None, **more: Any) -> Schema:
    """A whole number."""
    return (
        {"type": "integer", "minimum": least} | ({} if most is None else {"maximum": most}) | more
    )


def decimal(least: float, most: float, **more: Any) -> Schema:
    """A number."""
    return {"type": "number", "minimum": least, "maximum": most} | more


def list_of(items: Schema, **bounds: Any) -> Schema:
    """A list."""
    return {"type": "array", "items": items} | bounds


def object_of(required: dict[str, Schema], **optional: Schema) -> Schema:
    """An object; the members of `required` are never missing."""
    members = {"type": "object", "properties": required | optional}
    return members | ({"required": list(required)} if required else {})


def reference(name: str) -> Schema:
    """A component of the description."""
    return {"$ref": f"#/components/schemas/{name}"}


NULL = {"type": "null"}


def number_or_digits(least: int, most: int) -> dict[str, Any]:
    """The number of a session or a task, or a string of its digits."""
    bounds = {"minimum": least, "maximum": most, "pattern": "^[0-9]{1,19}$"}
    return {"type": ["integer", "string"], **bounds}
