"""A client's schema: its limits, its subschemas and its references."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urljoin

from sessions.faces.openai.json_schema.errors import NotHeld, SchemaInvalid

MAX_PARTS = 20_000
"""The most objects, lists, strings and numbers in a schema."""
MAX_DEPTH = 64
_DIALECT = re.compile(
    r"https?://json-schema\.org/(?:draft/20(?:20-12|19-09)/|draft-0[3467]/|)schema#?"
)
_ONE = frozenset(
    {
        "not",
        "if",
        "then",
        "else",
        "items",
        "additionalItems",
        "contains",
        "propertyNames",
        "additionalProperties",
        "unevaluatedItems",
        "unevaluatedProperties",
        "contentSchema",
    }
)
_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems", "items"})
_MAPS = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
)


@dataclass(frozen=True)
class SchemaPlace:
    """A subschema and its place in the document. Places with the same path are equal."""

    path: str
    value: Any = field(compare=False, repr=False)
    base: str = field(compare=False, repr=False)
    """The URI of the schema resource that it belongs to. References are relative to it."""

    def at(self, name: str) -> str:
        """Return the path of a member."""
        return f"{self.path}.{name}"

    def below(self, *steps: str | int) -> "SchemaPlace":
        """Return the subschema at the end of these steps. An `$id` on the way sets its base."""
        place = self
        for step in steps:
            path = f"{place.path}[{step}]" if isinstance(step, int) else f"{place.path}.{step}"
            value = place.value[step]
            place = SchemaPlace(path, value, _base_of(value, place.base))
        return place


class Document:
    """A client's schema.

    Args:
        path: the client's name for the schema, for errors.

    Raises:
        SchemaInvalid: the schema is too large, nested too deeply, or has a lone surrogate.
    """

    def __init__(self, schema: Any, path: str) -> None:
        self.root = SchemaPlace(path, schema, _base_of(schema, ""))
        _require_bounded(schema, path)
        self._resources: dict[str, SchemaPlace] = {"": self.root}
        self._anchors: dict[tuple[str, str], SchemaPlace] = {}
        for place in _subschemas(self.root):
            if isinstance(place.value, dict):
                self._note(place)

    def referred(self, place: SchemaPlace, reference: Any) -> SchemaPlace:
        """Resolve a `$ref`.

        Raises:
            SchemaInvalid: its target does not exist.
            NotHeld: its target is in another document.
        """
        path = place.at("$ref")
        if not isinstance(reference, str):
            raise SchemaInvalid(path, "it has to be a string")
        address, _, fragment = _joined(place.base, reference).partition("#")
        resource = self._resources.get(address)
        if resource is None:
            raise NotHeld(path, "it refers to another document; put it under '$defs'")
        fragment = unquote(fragment)
        if not fragment:
            return resource
        if fragment.startswith("/"):
            return _followed(resource, fragment, path)
        anchored = self._anchors.get((address, fragment))
        if anchored is None:
            raise SchemaInvalid(path, "it refers to an anchor that is not there")
        return anchored

    def _note(self, place: SchemaPlace) -> None:
        dialect = place.value.get("$schema")
        if isinstance(dialect, str) and not _DIALECT.fullmatch(dialect):
            raise NotHeld(place.at("$schema"), "only JSON Schema's own dialects are known")
        if isinstance(place.value.get("$id"), str):
            self._resources.setdefault(place.base, place)
        for name in ("$anchor", "$dynamicAnchor"):
            if isinstance(anchor := place.value.get(name), str):
                self._anchors.setdefault((place.base, anchor), place)


def _joined(base: str, reference: str) -> str:
    if reference.startswith("#"):
        return base + reference
    return urljoin(base, reference)


def _base_of(value: Any, base: str) -> str:
    named = value.get("$id") if isinstance(value, dict) else None
    if not isinstance(named, str) or named.startswith("#"):
        return base
    return _joined(base, named).partition("#")[0]


def _subschemas(place: SchemaPlace) -> Iterator[SchemaPlace]:
    """Yield a place and every subschema below it."""
    todo = [place]
    while todo:
        here = todo.pop()
        yield here
        if not isinstance(here.value, dict):
            continue
        for name, member in here.value.items():
            if name in _MAPS and isinstance(member, dict):
                todo.extend(here.below(name, each) for each in member)
            elif name in _LISTS and isinstance(member, list):
                todo.extend(here.below(name, index) for index in range(len(member)))
            elif name in _ONE and isinstance(member, dict):
                todo.append(here.below(name))


def _followed(resource: SchemaPlace, pointer: str, path: str) -> SchemaPlace:
    place = resource
    for step in pointer[1:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        try:
            key = int(name) if isinstance(place.value, list) and name.isdecimal() else name
            place = place.below(key)
        except (LookupError, TypeError) as error:
            raise SchemaInvalid(path, "it refers to a place that is not there") from error
    return place


def _require_bounded(value: Any, path: str) -> None:
    todo = [(value, path, 0)]
    parts = 0
    while todo:
        here, at, depth = todo.pop()
        parts += 1
        if parts > MAX_PARTS:
            raise SchemaInvalid(path, f"it has more than {MAX_PARTS} parts")
        if depth > MAX_DEPTH:
            raise SchemaInvalid(at, f"it is nested more than {MAX_DEPTH} deep")
        if isinstance(here, dict):
            for name, member in here.items():
                if not _is_text(name):
                    raise SchemaInvalid(at, "the name of a member has half of a surrogate pair")
                todo.append((member, f"{at}.{name}", depth + 1))
        elif isinstance(here, list):
            todo.extend((each, f"{at}[{i}]", depth + 1) for i, each in enumerate(here))
        elif isinstance(here, str) and not _is_text(here):
            raise SchemaInvalid(at, "it has half of a surrogate pair, which is not a character")


def _is_text(value: str) -> bool:
    return not any("\ud800" <= sign <= "\udfff" for sign in value) if not value.isascii() else True
