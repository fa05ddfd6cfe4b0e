"""A client's JSON Schema (draft 2020-12), turned into one that the grammar library holds exactly.

The rooms, in the order that a schema passes them:

- `document`: reads the schema, bounds it, finds what its references mean
- `expansion`: what values each subschema admits, type by type (`scalars`, `containers`, `kinds`)
- `patterns`, `formats`: regular expressions of ECMA-262 as the library reads them
- `shapes`, `emission`, `rule`: the library's schema, which has only the simplest forms

What cannot be held has a name: a member's path. `hold` refuses it or passes it over, and tells.
"""

from sessions.faces.openai.json_schema.errors import NotHeld, SchemaInvalid
from sessions.faces.openai.json_schema.holding import Held, hold
from sessions.faces.openai.json_schema.rule import rule_of

__all__ = ["Held", "NotHeld", "SchemaInvalid", "hold", "rule_of"]
