"""Hooks that complete the generated description with paths and errors that no serializer has.

The settings `SCHEMA_PATHS` and `SCHEMA_COMPONENTS` name the dictionaries to add, by dotted path.
"""

from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from sessions.faces.openapi import examples

PREFIXES = ("/api/v1", "/api/v2")
PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "An error (RFC 9457). Further members have figures that help to correct it.",
    "required": ["type", "title", "status", "detail", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "reason"],
                "properties": {"field": {"type": "string"}, "reason": {"type": "string"}},
            },
        },
        "field": {"type": "string"},
        "remedy": {"type": "string"},
    },
    "example": examples.PROBLEM,
}
_ERROR = {
    "description": "an error",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def published_only(endpoints: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Remove paths that are not published or described by hand (`PREPROCESSING_HOOKS`)."""
    by_hand = {path for name in settings.SCHEMA_PATHS for path in import_string(name)}
    return [
        endpoint
        for endpoint in endpoints
        if endpoint[0].startswith(PREFIXES) and endpoint[0] not in by_hand
    ]


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add the hand-written paths, and the errors of all paths (`POSTPROCESSING_HOOKS`)."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = PROBLEM
    for name in settings.SCHEMA_COMPONENTS:
        schemas.update(import_string(name))
    for name in settings.SCHEMA_PATHS:
        for path, operations in import_string(name).items():
            result["paths"].setdefault(path, {}).update(operations)
    for path, operations in result["paths"].items():
        for operation in operations.values():
            if path.startswith("/api/"):
                operation["responses"].setdefault("4XX", _ERROR)
                operation["responses"].setdefault("5XX", _ERROR)
            operation.setdefault("security", [{"apiKey": []}])
    result["paths"] = dict(sorted(result["paths"].items()))
    return result
