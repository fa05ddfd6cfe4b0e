"""Sets of arrays and of objects, as a schema describes them.

The constraints of items and properties are conjunctions of subschemas that are evaluated later.
Therefore a schema may refer to itself.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

from sessions.faces.openai.json_schema.document import SchemaPlace
from sessions.faces.openai.json_schema.scalars import NoComplement
from sessions.faces.openai.json_schema.strings.patterns import Pattern


@dataclass(frozen=True)
class Atom:
    """The values that a subschema admits or, if negated, those that it does not admit."""

    place: SchemaPlace
    is_negated: bool = False

    @property
    def complement(self) -> "Atom":
        return Atom(self.place, not self.is_negated)


Conjunction = tuple[Atom, ...]
"""The values that all of these admit: none if one of them is `false`."""
ANYTHING: Conjunction = ()
NOTHING: Conjunction = (Atom(SchemaPlace("false", False, "")),)


def of(place: SchemaPlace) -> Conjunction:
    """Return the conjunction of one subschema."""
    if place.value is True or place.value == {}:
        return ANYTHING
    return NOTHING if place.value is False else (Atom(place),)


def both(one: Conjunction, other: Conjunction) -> Conjunction:
    """Return the conjunction of two, which is NOTHING if they contradict each other."""
    if NOTHING in (one, other):
        return NOTHING
    if any(atom.complement in one for atom in other):
        return NOTHING
    return tuple(dict.fromkeys(one + other))


def complement_of(conjunction: Conjunction) -> list[Conjunction]:
    """Return alternatives: the values that one of the parts does not admit."""
    if conjunction == NOTHING:
        return [ANYTHING]
    return [(atom.complement,) for atom in conjunction]


@dataclass(frozen=True)
class Arrays:
    """The arrays that satisfy all of these constraints."""

    prefix: tuple[Conjunction, ...] = ()
    rest: Conjunction = ANYTHING
    least: int = 0
    most: int | None = None

    @property
    def is_any(self) -> bool:
        return self == Arrays()

    def item(self, index: int) -> Conjunction:
        return self.prefix[index] if index < len(self.prefix) else self.rest

    @property
    def is_empty(self) -> bool:
        """Whether it is certain that there is no such array."""
        if self.most is not None and self.most < self.least:
            return True
        return any(self.item(index) == NOTHING for index in range(min(self.least, self._length)))

    def both(self, other: "Arrays") -> "Arrays":
        length = max(len(self.prefix), len(other.prefix))
        mosts = [each.most for each in (self, other) if each.most is not None]
        return Arrays(
            tuple(both(self.item(index), other.item(index)) for index in range(length)),
            both(self.rest, other.rest),
            max(self.least, other.least),
            min(mosts, default=None),
        )

    def complement(self) -> list["Arrays"]:
        """Return alternatives for all other arrays. Raises NoComplement."""
        others = [Arrays(most=self.least - 1)] if self.least else []
        if self.most is not None:
            others.append(Arrays(least=self.most + 1))
        for index, item in enumerate(self.prefix):
            before = (ANYTHING,) * index
            others += [Arrays((*before, not_), least=index + 1) for not_ in complement_of(item)]
        if self.rest == NOTHING:
            others.append(Arrays(least=len(self.prefix) + 1))
        elif self.rest != ANYTHING:
            raise NoComplement("arrays of which some item does not fit are not held")
        return others

    @property
    def _length(self) -> int:
        return len(self.prefix) + 1


@dataclass(frozen=True)
class Objects:
    """The objects that satisfy all of these constraints.

    Args:
        named: constraints of properties by name, in order. They already include those of matching
            patterns.
        patterned: constraints of properties whose names match a pattern.
        rest: the constraint of all other properties.
        names: the constraint of every property's name.
        path: the member of the client's schema that most of them come from.
    """

    named: tuple[tuple[str, Conjunction], ...] = ()
    patterned: tuple[tuple[Pattern, Conjunction], ...] = ()
    rest: Conjunction = ANYTHING
    required: tuple[str, ...] = ()
    least: int = 0
    most: int | None = None
    names: Conjunction = ANYTHING
    path: str = field(default="", compare=False)

    @property
    def is_any(self) -> bool:
        return self == Objects()

    @property
    def is_empty(self) -> bool:
        """Whether it is certain that there is no such object."""
        if self.most is not None and self.most < max(self.least, len(self.required)):
            return True
        return any(self.by_name.get(name) == NOTHING for name in self.required)

    @cached_property
    def by_name(self) -> dict[str, Conjunction]:
        return dict(self.named)

    def member(self, name: str, matches: Callable[[Pattern, str], bool]) -> Conjunction:
        """Return the constraint of a property."""
        if name in self.by_name:
            return self.by_name[name]
        found = [conjunction for pattern, conjunction in self.patterned if matches(pattern, name)]
        if not found:
            return self.rest
        return all_of(found)

    def both(
        self,
        other: "Objects",
        matches: Callable[[Pattern, str], bool],
        are_apart: Callable[[Pattern, Pattern], bool],
    ) -> "Objects":
        named = [name for name, _ in self.named]
        named += [name for name, _ in other.named if name not in self.by_name]
        mosts = [each.most for each in (self, other) if each.most is not None]
        return Objects(
            tuple(
                (name, both(self.member(name, matches), other.member(name, matches)))
                for name in named
            ),
            _patterned(self, other, are_apart),
            both(self.rest, other.rest),
            tuple(dict.fromkeys(self.required + other.required)),
            max(self.least, other.least),
            min(mosts, default=None),
            both(self.names, other.names),
            self.path or other.path,
        )

    def complement(self) -> list["Objects"]:
        """Return alternatives for all other objects. Raises NoComplement."""
        if self.names != ANYTHING:
            raise NoComplement("objects of which some name does not fit are not held")
        if self.rest != ANYTHING or any(held != ANYTHING for _, held in self.patterned):
            raise NoComplement("objects of which some further property does not fit are not held")
        others = [Objects(most=self.least - 1)] if self.least else []
        if self.most is not None:
            others.append(Objects(least=self.most + 1))
        others += [Objects(((name, NOTHING),)) for name in self.required]
        for name, held in self.named:
            others += [Objects(((name, not_),), required=(name,)) for not_ in complement_of(held)]
        return [replace(each, path=self.path) for each in others]


def all_of(conjunctions: Iterable[Conjunction]) -> Conjunction:
    """Return the conjunction of several."""
    result = ANYTHING
    for conjunction in conjunctions:
        result = both(result, conjunction)
    return result


def _patterned(
    one: Objects, other: Objects, are_apart: Callable[[Pattern, Pattern], bool]
) -> tuple[tuple[Pattern, Conjunction], ...]:
    """Combine the patterns of two sides. A name without a pattern on one side has its `rest`."""
    merged: dict[Pattern, Conjunction] = {}
    for mine, theirs in ((one, other), (other, one)):
        known = dict(theirs.patterned)
        for pattern, held in mine.patterned:
            if pattern in known:
                merged[pattern] = both(held, known[pattern])
            elif theirs.rest == ANYTHING or all(are_apart(pattern, each) for each in known):
                merged[pattern] = both(held, theirs.rest)
            else:
                raise NoComplement("patterns of names that overlap are not held here")
    return tuple(merged.items())
