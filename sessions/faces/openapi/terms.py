"""Short functions that make the JSON Schemas in the description of `/v1`."""

from typing import Any

Schema = dict[str, Any]


def text(**bounds: Any) -> Schema:
    """Return the schema of a string."""
    return {"type": "string"} | bounds


def whole(least: int, most: int | None = None, **more: Any) -> Schema:
    """Return the schema of a whole number."""
    return (
        {"type": "integer", "minimum": least} | ({} if most is None else {"maximum": most}) | more
    )


def decimal(least: float, most: float, **more: Any) -> Schema:
    """Return the schema of a number."""
    return {"type": "number", "minimum": least, "maximum": most} | more


def list_of(items: Schema, **bounds: Any) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items} | bounds


def object_of(required: dict[str, Schema], **optional: Schema) -> Schema:
    """Return the schema of an object. The members of `required` are always present."""
    members = {"type": "object", "properties": required | optional}
    return members | ({"required": list(required)} if required else {})


def reference(name: str) -> Schema:
    """Return a reference to a schema in the description's components."""
    return {"$ref": f"#/components/schemas/{name}"}


NULL = {"type": "null"}


def number_or_digits(least: int, most: int) -> dict[str, Any]:
    """Return the schema of a session's or task's number, which may be a string of digits."""
    bounds = {"minimum": least, "maximum": most, "pattern": "^[0-9]{1,19}$"}
    return {"type": ["integer", "string"], **bounds}
