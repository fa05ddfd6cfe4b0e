"""The grammar rule of a schema."""

import json
from typing import Any

from sessions.faces.openai.json_schema.holding import Held

# Allow no other white space, because small models fill answers with it.
_SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_PLAIN_ESCAPES = 'nrbtf"\\'


def rule_of(held: Held) -> str:
    """Return the body of a rule, in the library's Lark, for the JSON that a schema admits."""
    settings: dict[str, Any] = dict(_SPACING)
    if held.needs_plain_escapes:
        settings["json_allowed_escapes"] = _PLAIN_ESCAPES
    root = held.schema if isinstance(held.schema, dict) else {}
    definitions = {"$defs": held.definitions} if held.definitions else {}
    written = {"x-guidance": settings} | root | definitions
    return f"%json {json.dumps(written, separators=(',', ':'))}"
