"""Conversion of a client's JSON Schema (draft 2020-12) into one that the grammar library enforces.

The library is llguidance. It supports only a part of JSON Schema, and the result uses only forms
that it enforces exactly. The modules, in the order in which a schema passes them:

- `document`: reads the schema, limits its size and resolves its references
- `expansion`: computes the values that each subschema admits, by their types (`scalars`,
  `containers`, `kinds`)
- `strings`: converts patterns and formats into regular expressions of the library
- `shapes`, `emission`, `rule`: write the library's schema

A member that the library cannot enforce is reported by its path. `hold` raises an error for it, or
ignores it and reports it in `Held.passed_over`.
"""

from sessions.faces.openai.json_schema.errors import NotHeld, SchemaInvalid
from sessions.faces.openai.json_schema.holding import Held, hold
from sessions.faces.openai.json_schema.rule import rule_of

__all__ = ["Held", "NotHeld", "SchemaInvalid", "hold", "rule_of"]
