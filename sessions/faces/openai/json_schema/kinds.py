"""The values that a schema admits, as a union of sets for each type."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from sessions.faces.openai.json_schema.containers import Arrays, Objects
from sessions.faces.openai.json_schema.scalars import Numbers, Strings
from sessions.faces.openai.json_schema.strings.patterns import Pattern

T = TypeVar("T", Numbers, Strings, Arrays, Objects)
MAX_CHOICES = 1_024
"""The most sets of one type."""


class TooMany(Exception):
    """A schema has more alternatives than can be analyzed."""


@dataclass(frozen=True)
class Names:
    """Facts about patterns: which strings they match, and which patterns have none in common."""

    matches: Callable[[Pattern, str], bool]
    are_apart: Callable[[Pattern, Pattern], bool]


@dataclass(frozen=True)
class Kinds:
    null: bool = False
    booleans: frozenset[bool] = frozenset()
    numbers: tuple[Numbers, ...] = ()
    strings: tuple[Strings, ...] = ()
    arrays: tuple[Arrays, ...] = ()
    objects: tuple[Objects, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it is certain that there is no value."""
        return self == Kinds()

    def both(self, other: "Kinds", known: Names) -> "Kinds":
        """Return the intersection.

        Raises:
            TooMany: it has too many alternatives.
            NoComplement: the patterns of properties' names overlap.
        """
        return Kinds(
            self.null and other.null,
            self.booleans & other.booleans,
            _pairs(self.numbers, other.numbers, lambda a, b: a.both(b)),
            _pairs(self.strings, other.strings, lambda a, b: a.both(b, known.matches)),
            _pairs(self.arrays, other.arrays, lambda a, b: a.both(b)),
            _pairs(
                self.objects,
                other.objects,
                lambda a, b: a.both(b, known.matches, known.are_apart),
            ),
        )

    def complement(self, known: Names) -> "Kinds":
        """Return the complement. Raises TooMany or NoComplement."""
        result = ANY
        for choice in self.numbers:
            result = result.both(replace(ANY, numbers=tuple(choice.complement())), known)
        for strings in self.strings:
            result = result.both(replace(ANY, strings=tuple(strings.complement())), known)
        for arrays in self.arrays:
            result = result.both(replace(ANY, arrays=tuple(arrays.complement())), known)
        for objects in self.objects:
            result = result.both(replace(ANY, objects=tuple(objects.complement())), known)
        return replace(result, null=not self.null, booleans=ANY.booleans - self.booleans)


ANY = Kinds(True, frozenset({True, False}), (Numbers(),), (Strings(),), (Arrays(),), (Objects(),))


def one_of(choices: Iterable[Kinds]) -> Kinds:
    """Return the union. Raises TooMany."""
    found = list(choices)
    return Kinds(
        any(each.null for each in found),
        frozenset().union(*(each.booleans for each in found)),
        _merged_numbers([each for kinds in found for each in kinds.numbers]),
        _merged_strings([each for kinds in found for each in kinds.strings]),
        _kept([each for kinds in found for each in kinds.arrays]),
        _kept([each for kinds in found for each in kinds.objects]),
    )


def _pairs(mine: tuple[T, ...], theirs: tuple[T, ...], both: Callable[[T, T], T]) -> tuple[T, ...]:
    if len(mine) * len(theirs) > 4 * MAX_CHOICES:
        raise TooMany
    return _kept([_one_or_both(a, b, both) for a in mine for b in theirs])


def _one_or_both(a: T, b: T, both: Callable[[T, T], T]) -> T:
    if a.is_any:
        return b
    return a if b.is_any or a == b else both(a, b)


def _kept(choices: list[T]) -> tuple[T, ...]:
    kept = dict.fromkeys(each for each in choices if not each.is_empty)
    whole = next((each for each in kept if each.is_any), None)
    if whole is not None:
        return (whole,)
    if len(kept) > MAX_CHOICES:
        raise TooMany
    return tuple(kept)


def _merged_strings(choices: list[Strings]) -> tuple[Strings, ...]:
    """Merge all lists of strings into one."""
    listed = [each for each in choices if each.among is not None]
    among = tuple(dict.fromkeys(text for each in listed for text in each.among or ()))
    others = [each for each in choices if each.among is None]
    return _kept([*([Strings(among=among)] if listed else []), *others])


def _merged_numbers(choices: list[Numbers]) -> tuple[Numbers, ...]:
    listed = [each for each in choices if each.among is not None]
    among = tuple(dict.fromkeys(number for each in listed for number in each.among or ()))
    others = [each for each in choices if each.among is None]
    return _kept([*([Numbers(among=among)] if listed else []), *others])
