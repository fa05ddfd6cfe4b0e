"""Objects in the library's form: every property is required, optional or forbidden.

The library counts properties only if none is optional, and it does not detect repeated names among
the properties that are not declared. So an object whose number of properties is constrained becomes
a union of several shapes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from math import comb

from sessions.faces.openai.json_schema.containers import ANYTHING, NOTHING, Conjunction, Objects
from sessions.faces.openai.json_schema.errors import NotHeld, SchemaInvalid
from sessions.faces.openai.json_schema.kinds import Kinds, Names
from sessions.faces.openai.json_schema.scalars import Strings
from sessions.faces.openai.json_schema.strings.complement import any_string_but, can_be_left_out
from sessions.faces.openai.json_schema.strings.patterns import Pattern

MAX_SHAPES = 64
MAX_OPTIONAL = 400
"""The most optional properties of one object. The library tracks each of them at every token."""


@dataclass(frozen=True)
class ObjectShape:
    """Objects in the library's form.

    Args:
        named: constraints of declared properties. NOTHING forbids a property.
        patterned: constraints of other names, by patterns that have no string in common.
        rest: the constraint of names that match no pattern.
        least_more: 1 if an undeclared property is required.
        most_more: the most undeclared properties, or None for no limit.
    """

    named: tuple[tuple[str, Conjunction], ...]
    patterned: tuple[tuple[Pattern, Conjunction], ...]
    rest: Conjunction
    required: tuple[str, ...]
    least_more: int = 0
    most_more: int | None = None

    @property
    def more(self) -> list[Conjunction]:
        """The constraints of undeclared properties."""
        return [*(held for _, held in self.patterned), self.rest]


def shapes_of(
    objects: Objects,
    member: Callable[[Objects, str], Conjunction],
    kinds: Callable[[Conjunction], Kinds],
    known: Names,
) -> list[ObjectShape]:
    """Return the shapes whose union is a set of objects.

    Args:
        member: returns the constraint of a property.

    Raises:
        NotHeld: shapes cannot express the set.
    """
    names = [name for name, _ in objects.named]
    names += [name for name in objects.required if name not in objects.by_name]
    patterned, rest = objects.patterned, objects.rest
    if objects.names != ANYTHING:
        listed, patterned, rest = _by_names(objects, kinds(objects.names).strings)
        names += [name for name in listed if name not in names]
    named = tuple((name, member(objects, name)) for name in names)
    _require_apart(objects, patterned, known)
    if any(map(_is_spelled_twice, names)) and (patterned or not can_be_left_out(names)):
        raise NotHeld(objects.path, "names with control characters do not go with many others")
    if names and rest != NOTHING and not patterned and can_be_left_out(names):
        patterned, rest = ((any_string_but(names), rest),), NOTHING
    shapes = list(_counted(ObjectShape(named, patterned, rest, objects.required), objects))
    if sum(len(shape.named) - len(shape.required) for shape in shapes) > MAX_OPTIONAL:
        raise SchemaInvalid(objects.path, f"more than {MAX_OPTIONAL} properties may be missing")
    return shapes


def _by_names(
    objects: Objects, strings: tuple[Strings, ...]
) -> tuple[tuple[str, ...], tuple[tuple[Pattern, Conjunction], ...], Conjunction]:
    """Evaluate `propertyNames`: return a list of names, or constraints by patterns of names."""
    listed = tuple(name for each in strings for name in each.among or ())
    ruled = [each for each in strings if each.among is None]
    if not ruled:
        return listed, (), NOTHING
    if any(each.is_any for each in ruled):
        return (), objects.patterned, objects.rest
    if objects.patterned:
        raise NotHeld(objects.path, "'propertyNames' beside 'patternProperties' is not held")
    texts = "|".join(_pattern_of(each, objects.path).text[1:-1] for each in ruled)
    return listed, ((Pattern(f"^(?:{texts})$", 0, None), objects.rest),), NOTHING


def _pattern_of(strings: Strings, path: str) -> Pattern:
    """Return a constraint of names as one pattern."""
    parts = [
        *strings.patterns,
        *([any_string_but(strings.other_than)] if strings.other_than else []),
    ]
    if len(parts) == 1:
        only = parts[0]
        is_long = only.least >= strings.least
        is_short = strings.most is None or (only.most is not None and only.most <= strings.most)
        if is_long and is_short:
            return only
    if parts:
        raise NotHeld(path, "of a name's pattern, format and length only one is held")
    most = "" if strings.most is None else strings.most
    return Pattern(f"^(?s:.{{{strings.least},{most}}})$", strings.least, strings.most)


def _require_apart(
    objects: Objects, patterned: tuple[tuple[Pattern, Conjunction], ...], known: Names
) -> None:
    for (one, _), (other, _) in combinations(patterned, 2):
        if not known.are_apart(one, other):
            raise NotHeld(objects.path, "patterns of names that overlap are not held")


def _is_spelled_twice(name: str) -> bool:
    """Whether JSON has several spellings of a name that the library accepts."""
    return any(sign < " " or sign == "\x7f" for sign in name)


def _counted(shape: ObjectShape, objects: Objects) -> Iterator[ObjectShape]:
    required = len(shape.required)
    optional = [
        name for name, held in shape.named if held != NOTHING and name not in shape.required
    ]
    has_more = any(held != NOTHING for held in shape.more)
    least = max(objects.least - required, 0)
    most = None if objects.most is None else max(objects.most - required, 0)
    if most is not None and not has_more and most >= len(optional):
        most = None
    if not least and most is None:
        yield shape
    elif has_more and least > 1:
        raise NotHeld(objects.path, "a grammar does not compare the names of further properties")
    elif most is None:
        yield from _at_least(shape, optional, least, has_more, objects.path)
    else:
        yield from _at_most(shape, optional, least, most, has_more, objects.path)


def _at_least(
    shape: ObjectShape, optional: list[str], least: int, has_more: bool, path: str
) -> Iterator[ObjectShape]:
    _require_few(comb(len(optional), min(least, len(optional))), path)
    for chosen in combinations(optional, least):
        yield replace(shape, required=shape.required + chosen)
    if has_more:
        yield replace(_without(shape, optional), least_more=least)


def _at_most(
    shape: ObjectShape, optional: list[str], least: int, most: int, has_more: bool, path: str
) -> Iterator[ObjectShape]:
    sizes = range(min(most, len(optional)) + 1)
    _require_few(sum(comb(len(optional), size) for size in sizes), path)
    for size in sizes:
        missing = max(least - size, 0)
        if missing and not (has_more and missing <= most - size):
            continue
        for chosen in combinations(optional, size):
            left = [name for name in optional if name not in chosen]
            kept = replace(_without(shape, left), required=shape.required + chosen)
            yield replace(kept, least_more=missing, most_more=most - size if has_more else None)


def _require_few(number: int, path: str) -> None:
    if number > MAX_SHAPES:
        raise NotHeld(path, "too many choices of properties make that number")


def _without(shape: ObjectShape, names: list[str]) -> ObjectShape:
    named = tuple((name, NOTHING if name in names else held) for name, held in shape.named)
    return replace(shape, named=named)
