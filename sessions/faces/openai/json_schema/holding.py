"""The conversion of a client's schema into the library's."""

from dataclasses import dataclass, field
from typing import Any

from sessions.faces.openai.json_schema.containers import of
from sessions.faces.openai.json_schema.document import Document
from sessions.faces.openai.json_schema.emission import Emission
from sessions.faces.openai.json_schema.expansion import Expansion
from sessions.faces.openai.json_schema.library import known_names


@dataclass(frozen=True)
class Held:
    """A schema that the library enforces.

    Args:
        schema: a schema in the library's forms. It refers to `definitions` as `#/$defs/…`.
        needs_plain_escapes: whether strings must not use `\\u` escapes.
        has_controls: whether some string needs such an escape.
        passed_over: the reasons for members that are not enforced, by path.
    """

    schema: Any
    definitions: dict[str, Any] = field(default_factory=dict)
    needs_plain_escapes: bool = False
    has_controls: bool = False
    passed_over: dict[str, str] = field(default_factory=dict)


def hold(schema: Any, path: str, *, is_strict: bool, prefix: str = "d") -> Held:
    """Convert a schema into one that the library enforces exactly.

    Args:
        path: the client's name for the schema, for errors.
        is_strict: whether a member that cannot be enforced is an error. Otherwise it is ignored.
        prefix: the prefix of the definitions' names, for schemas that are merged into one.

    Raises:
        SchemaInvalid: the schema is not valid, no value fits it, or it is too complex.
        NotHeld: it is strict and has a member that cannot be enforced.
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
