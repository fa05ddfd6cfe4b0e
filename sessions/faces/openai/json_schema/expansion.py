"""The values that a client's schema admits: each keyword is enforced, or reported as not held."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from sessions.faces.openai.json_schema.containers import (
    ANYTHING,
    NOTHING,
    Atom,
    Conjunction,
    Objects,
    all_of,
    both,
    of,
)
from sessions.faces.openai.json_schema.document import Document, SchemaPlace
from sessions.faces.openai.json_schema.errors import NotHeld, SchemaInvalid
from sessions.faces.openai.json_schema.keywords import (
    ARRAYS,
    NUMBERS,
    OBJECTS,
    STRINGS,
    absent,
    arrays_that_contain,
    kinds_of_dependencies,
    kinds_of_enum,
    kinds_of_types,
    kinds_of_value,
)
from sessions.faces.openai.json_schema.kinds import ANY, Kinds, Names, TooMany, one_of
from sessions.faces.openai.json_schema.scalars import NoComplement
from sessions.faces.openai.json_schema.strings.patterns import Pattern, read_patterns

MAX_STEPS = 30_000
"""The most subschemas to analyze. A subschema counts again in each combination with others."""
MAX_REFERENCES = 48
"""The most nested subschemas that apply to the same value."""
_PROPERTIES = ("properties", "patternProperties", "additionalProperties")
_REFERENCES = ("$dynamicRef", "$recursiveRef")


class _Circular(SchemaInvalid):
    """The analysis of a schema requires its own result."""


class Expansion:
    """The values that a document's subschemas admit.

    Args:
        is_strict: whether a member that cannot be enforced is an error.
    """

    def __init__(self, document: Document, known: Names, *, is_strict: bool) -> None:
        self._document, self._known, self._is_strict = document, known, is_strict
        self.passed_over: dict[str, str] = {}
        self._steps = 0
        self._exact = 0
        self._found: dict[tuple[Atom, bool], Kinds] = {}
        self._open: list[Atom] = []
        self._conjunctions: dict[Conjunction, Kinds] = {}

    def kinds(self, conjunction: Conjunction) -> Kinds:
        """Return the values that all parts of a conjunction admit.

        Raises:
            SchemaInvalid: a member is not valid.
            NotHeld: a member cannot be enforced, and the schema is strict.
        """
        if conjunction not in self._conjunctions:
            result = ANY
            for atom in conjunction:
                with self._passing_over(atom.place.path):
                    result = result.both(self._of(atom), self._known)
            self._conjunctions[conjunction] = result
        return self._conjunctions[conjunction]

    def names_of(self, objects: Objects, name: str) -> Conjunction:
        """Return the constraints of a property of objects, including those of its name."""
        if objects.names != ANYTHING:
            strings = self.kinds(objects.names).strings
            if not any(each.admits(name, self._known.matches) for each in strings):
                return NOTHING
        return objects.member(name, self._known.matches)

    def loosened(self, objects: Objects) -> Objects:
        """Return objects without the constraints that the library cannot combine. Report those."""
        loose = replace(objects, patterned=(), rest=ANYTHING, names=ANYTHING, least=0, most=None)
        schema_path = objects.path.rpartition(".")[0]
        for name, is_lost in (
            ("patternProperties", objects.patterned != ()),
            ("additionalProperties", objects.rest != ANYTHING),
            ("propertyNames", objects.names != ANYTHING),
            ("minProperties", objects.least > len(objects.required)),
            ("maxProperties", objects.most is not None),
        ):
            if is_lost:
                reason = "it does not go with the other members here"
                self.pass_over(NotHeld(f"{schema_path}.{name}", reason))
        return loose

    # ── one subschema ────────────────────────────────────────────────────────

    def _of(self, atom: Atom) -> Kinds:
        key = (atom, self._exact > 0)
        if key not in self._found:
            self._spend(atom)
            self._open.append(atom)
            try:
                self._found[key] = (
                    self._complement(atom.place) if atom.is_negated else self._admitted(atom.place)
                )
            finally:
                self._open.pop()
        return self._found[key]

    def _spend(self, atom: Atom) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise SchemaInvalid(atom.place.path, "the schema is too complex; simplify it")
        if atom in self._open:
            raise _Circular(atom.place.path, "it stands for itself, by its own references")
        if len(self._open) > MAX_REFERENCES:
            raise SchemaInvalid(
                atom.place.path, f"more than {MAX_REFERENCES} stand for it in a row"
            )

    def _admitted(self, place: SchemaPlace) -> Kinds:
        schema = place.value
        if isinstance(schema, bool):
            return ANY if schema else Kinds()
        if not isinstance(schema, dict):
            raise SchemaInvalid(place.path, "it has to be an object, true or false")
        result = ANY
        for name, read in self._readers(schema):
            with self._passing_over(place.at(name)):
                result = result.both(read(place, schema[name], place.at(name), result), self._known)
        return result

    def _complement(self, place: SchemaPlace) -> Kinds:
        """Return the values that a subschema does not admit. The result has to be exact.

        Raises:
            NoComplement, NotHeld: the library cannot express the complement.
        """
        self._exact += 1
        try:
            result = self._of(Atom(place)).complement(self._known)
            for atom in _negated_within(result):
                with suppress(_Circular):  # its analysis is under way
                    self._of(atom)
        finally:
            self._exact -= 1
        return result

    @contextmanager
    def _passing_over(self, path: str) -> Iterator[None]:
        try:
            yield
        except NotHeld as error:
            self.pass_over(error)
        except NoComplement as error:
            self.pass_over(NotHeld(path, str(error)))
        except TooMany:
            self.pass_over(NotHeld(path, "it leaves too many ways to fit; simplify it"))

    def pass_over(self, error: NotHeld) -> None:
        if self._is_strict or self._exact:
            raise error
        self.passed_over.setdefault(error.path, error.reason)

    def _readers(self, schema: dict[str, Any]) -> list[tuple[str, "_Reader"]]:
        """Return the keywords that a schema has, in the order of their evaluation."""
        readers: dict[str, _Reader] = {
            "type": lambda _, value, path, __: kinds_of_types(value, path),
            "const": lambda _, value, path, __: kinds_of_value(value, path),
            "enum": lambda _, value, path, __: kinds_of_enum(value, path),
            **dict.fromkeys((*NUMBERS, *STRINGS, *ARRAYS, *OBJECTS), self._scalar),
            **dict.fromkeys(_PROPERTIES, self._properties),
            "contains": self._contains,
            "unevaluatedItems": self._unevaluated,
            "unevaluatedProperties": self._unevaluated,
            "dependentRequired": self._dependent_required,
            "dependentSchemas": self._dependent_schemas,
            "dependencies": self._dependencies,
            "$ref": self._reference,
            **dict.fromkeys(_REFERENCES, self._other_reference),
            "allOf": self._all_of,
            "anyOf": self._any_of,
            "oneOf": self._one_of,
            "not": self._not,
            "if": self._if,
        }
        return [(name, read) for name, read in readers.items() if name in schema]

    # ── keywords of one type ─────────────────────────────────────────────────

    def _scalar(self, place: SchemaPlace, value: Any, path: str, so_far: Kinds) -> Kinds:
        """Evaluate a keyword that constrains one type, if a value of this type is possible."""
        name = path.rpartition(".")[2]
        if name in NUMBERS:
            return (
                replace(ANY, numbers=(NUMBERS[name](place, value, path),))
                if so_far.numbers
                else ANY
            )
        if name in STRINGS:
            return (
                replace(ANY, strings=(STRINGS[name](place, value, path),))
                if so_far.strings
                else ANY
            )
        if name in ARRAYS:
            return (
                replace(ANY, arrays=(ARRAYS[name](place, value, path),)) if so_far.arrays else ANY
            )
        return replace(ANY, objects=(OBJECTS[name](place, value, path),)) if so_far.objects else ANY

    def _properties(self, place: SchemaPlace, _: Any, path: str, so_far: Kinds) -> Kinds:
        """Evaluate all keywords of `_PROPERTIES` together, at the first that is present."""
        schema = place.value
        first = next(name for name in _PROPERTIES if name in schema)
        if not so_far.objects or path != place.at(first):
            return ANY
        rest = (
            of(place.below("additionalProperties"))
            if "additionalProperties" in schema
            else ANYTHING
        )
        patterned: list[tuple[Pattern, Conjunction]] = []
        for source in self._map(place, "patternProperties"):
            at = place.at(f"patternProperties.{source}")
            try:
                found = read_patterns(source, at)
                if len(found) > 1:
                    raise NotHeld(at, "a look-ahead is not held here")
                patterned.append((found[0], of(place.below("patternProperties", source))))
            except NotHeld as error:
                self.pass_over(error)
                if rest != ANYTHING:
                    at = place.at("additionalProperties")
                    self.pass_over(NotHeld(at, "a name's pattern beside it is not held"))
                rest = ANYTHING
        if rest == ANYTHING:  # then a pattern without constraints has no effect
            patterned = [(pattern, held) for pattern, held in patterned if held != ANYTHING]
        always = all_of(held for pattern, held in patterned if pattern.is_any)
        named = []
        for name in self._map(place, "properties"):
            matching = [held for pattern, held in patterned if self._known.matches(pattern, name)]
            named.append((name, both(of(place.below("properties", name)), all_of(matching))))
        if any(pattern.is_any for pattern, _ in patterned):
            others = [(pattern, both(held, always)) for pattern, held in patterned]
            patterned, rest = [each for each in others if not each[0].is_any], always
        objects = Objects(tuple(named), tuple(dict(patterned).items()), rest, path=path)
        return replace(ANY, objects=(objects,))

    def _map(self, place: SchemaPlace, name: str) -> dict[str, Any]:
        value = place.value.get(name, {})
        if not isinstance(value, dict):
            raise SchemaInvalid(place.at(name), "it has to be an object")
        return value

    def _contains(self, place: SchemaPlace, value: Any, path: str, so_far: Kinds) -> Kinds:
        if not so_far.arrays:
            return ANY
        found = arrays_that_contain(place)
        for atom in _negated_within(replace(ANY, arrays=tuple(found))):
            self._complement(atom.place)
        return replace(ANY, arrays=tuple(found))

    def _unevaluated(self, place: SchemaPlace, value: Any, path: str, so_far: Kinds) -> Kinds:
        if value is True or value == {}:
            return ANY
        relevant = so_far.arrays if path.endswith("unevaluatedItems") else so_far.objects
        if relevant:
            raise NotHeld(path, "it depends on what other members have looked at")
        return ANY

    def _dependent_required(
        self, place: SchemaPlace, value: Any, path: str, so_far: Kinds
    ) -> Kinds:
        result = ANY
        for each in kinds_of_dependencies(value, path) if so_far.objects else []:
            result = result.both(each, self._known)
        return result

    def _dependent_schemas(self, place: SchemaPlace, value: Any, path: str, so_far: Kinds) -> Kinds:
        result = ANY
        for name in self._map(place, "dependentSchemas") if so_far.objects else ():
            held = self._of_place(place.below("dependentSchemas", name))
            result = result.both(one_of([absent(name, path), held]), self._known)
        return result

    def _dependencies(self, place: SchemaPlace, value: Any, path: str, so_far: Kinds) -> Kinds:
        """Evaluate `dependencies`, which drafts before 2019-09 have instead of the other two."""
        result = ANY
        for name, each in self._map(place, "dependencies").items() if so_far.objects else ():
            if isinstance(each, list):
                [held] = kinds_of_dependencies({name: each}, path)
            else:
                below = self._of_place(place.below("dependencies", name))
                held = one_of([absent(name, path), below])
            result = result.both(held, self._known)
        return result

    # ── keywords of the value itself ─────────────────────────────────────────

    def _reference(self, place: SchemaPlace, value: Any, path: str, so_far: Kinds) -> Kinds:
        return self._of_place(self._document.referred(place, value))

    def _other_reference(self, place: SchemaPlace, value: Any, path: str, so_far: Kinds) -> Kinds:
        raise NotHeld(path, "what it refers to depends on who refers to it; use '$ref'")

    def _all_of(self, place: SchemaPlace, value: Any, path: str, so_far: Kinds) -> Kinds:
        result = ANY
        for each in self._places(place, "allOf"):
            with self._passing_over(each.path):
                result = result.both(self._of_place(each), self._known)
        return result

    def _any_of(self, place: SchemaPlace, value: Any, path: str, so_far: Kinds) -> Kinds:
        return one_of(map(self._of_place, self._places(place, "anyOf")))

    def _one_of(self, place: SchemaPlace, value: Any, path: str, so_far: Kinds) -> Kinds:
        places = self._places(place, "oneOf")
        found = [self._of_place(each).both(so_far, self._known) for each in places]
        try:
            return one_of(self._alone(index, places, found) for index in range(len(places)))
        except (NoComplement, NotHeld, TooMany) as error:
            reason = error.reason if isinstance(error, NotHeld) else str(error) or "too many ways"
            self.pass_over(NotHeld(path, f"its schemas overlap ({reason})"))
        return one_of(found)  # enforce at least `anyOf`

    def _alone(self, index: int, places: list[SchemaPlace], found: list[Kinds]) -> Kinds:
        """Return the values that one of several schemas admits and none of the others."""
        result = found[index]
        for other, kinds in enumerate(found):
            if other != index and not self._is_empty(result.both(kinds, self._known)):
                result = result.both(self._complement(places[other]), self._known)
        return result

    def _not(self, place: SchemaPlace, value: Any, path: str, so_far: Kinds) -> Kinds:
        return self._complement(place.below("not"))

    def _if(self, place: SchemaPlace, value: Any, path: str, so_far: Kinds) -> Kinds:
        if not {"then", "else"} & place.value.keys():
            return ANY
        ways = []
        for name, condition in (("then", self._of_place), ("else", self._complement)):
            way = condition(place.below("if"))
            if name in place.value:
                way = way.both(self._of_place(place.below(name)), self._known)
            ways.append(way)
        return one_of(ways)

    def _places(self, place: SchemaPlace, name: str) -> list[SchemaPlace]:
        value = place.value[name]
        if not isinstance(value, list) or not value:
            raise SchemaInvalid(place.at(name), "it has to be a list of schemas")
        return [place.below(name, index) for index in range(len(value))]

    def _of_place(self, place: SchemaPlace) -> Kinds:
        return self._of(Atom(place))

    def _is_empty(self, kinds: Kinds, depth: int = 4) -> bool:
        """Return whether it is certain that there is no value, after a look at a few levels."""
        if kinds.null or kinds.booleans or kinds.numbers or kinds.strings:
            return False
        if not depth:
            return kinds.is_empty
        needed = [
            [arrays.item(index) for index in range(min(arrays.least, len(arrays.prefix) + 1))]
            for arrays in kinds.arrays
        ]
        needed += [
            [self.names_of(objects, name) for name in objects.required] for objects in kinds.objects
        ]
        return all(any(self._admits_none(each, depth) for each in some) for some in needed)

    def _admits_none(self, conjunction: Conjunction, depth: int) -> bool:
        try:
            return self._is_empty(self.kinds(conjunction), depth - 1)
        except _Circular:  # its analysis is under way
            return False


_Reader = Callable[[SchemaPlace, Any, str, Kinds], Kinds]


def _negated_within(kinds: Kinds) -> Iterator[Atom]:
    """Yield the negated subschemas among the constraints of items and properties."""
    held = [each for arrays in kinds.arrays for each in (*arrays.prefix, arrays.rest)]
    for objects in kinds.objects:
        held += [each for _, each in objects.named] + [each for _, each in objects.patterned]
        held += [objects.rest, objects.names]
    return (atom for conjunction in held for atom in conjunction if atom.is_negated)
