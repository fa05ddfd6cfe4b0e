"""From a client's schema to the library's."""

from dataclasses import dataclass, field
from typing import Any

from sessions.faces.openai.json_schema.containers import of
from sessions.faces.openai.json_schema.document import Document
from sessions.faces.openai.json_schema.emission import Emission
from sessions.faces.openai.json_schema.expansion import Expansion
from sessions.faces.openai.json_schema.library import known_names


@dataclass(frozen=True)
class Held:
    """What an answer is held to.

    Args:
        schema: in the library's forms; it refers to `definitions` as `#/$defs/…`.
        needs_plain_escapes: whether strings may have no `\\u` escapes.
        has_controls: whether there is a string that needs such an escape.
        passed_over: the paths of members that are not held, with the reasons.
    """

    schema: Any
    definitions: dict[str, Any] = field(default_factory=dict)
    needs_plain_escapes: bool = False
    has_controls: bool = False
    passed_over: dict[str, str] = field(default_factory=dict)


def hold(schema: Any, path: str, *, is_strict: bool, prefix: str = "d") -> Held:
    """Turn a schema into one that the library holds exactly.

    Args:
        path: what the client calls the schema, for errors.
        is_strict: whether a member that cannot be held is an error; else it is passed over.
        prefix: what the names of definitions begin with, where several schemas become one.

    Raises:
        SchemaInvalid: it is no schema, no value fits it, or it costs too much.
        NotHeld: it is strict, and has a member that cannot be held.
    """
    document, known = Document(schema, path), known_names()
    expansion = Expansion(document, known, is_strict=is_strict)
    emission = Emission(expansion, known, prefix)
    written = emission.emit(of(document.root), path)
    return Held(
        written,
        emission.definitions,
        emission.needs_plain_escapes,
        emission.has_controls,
        expansion.passed_over,
    )
