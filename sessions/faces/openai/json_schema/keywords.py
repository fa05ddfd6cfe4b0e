"""Keywords that constrain one type of value: the values that they admit."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from math import isfinite
from typing import Any

from sessions.faces.openai.json_schema.containers import ANYTHING, NOTHING, Arrays, Objects, of
from sessions.faces.openai.json_schema.document import SchemaPlace
from sessions.faces.openai.json_schema.errors import NotHeld, SchemaInvalid
from sessions.faces.openai.json_schema.kinds import ANY, Kinds, one_of
from sessions.faces.openai.json_schema.scalars import Edge, Numbers, Strings
from sessions.faces.openai.json_schema.strings.formats import HELD_FORMATS, format_of
from sessions.faces.openai.json_schema.strings.patterns import read_patterns

LARGEST_WHOLE = 2**53
MAX_DIGITS, MAX_PLACES = 15, 15
"""Limits of numbers with a fraction, because the library reads numbers as 64-bit floats."""
MAX_STEP, MAX_REMAINDERS = 2**31, 1_000
"""Limits of a `multipleOf`, because the library has a state for each remainder."""
MAX_ITEMS, MAX_POSITIONS = 4_096, 8
MAX_LENGTH = 1_000_000
_TYPES = {
    "null": Kinds(null=True),
    "boolean": Kinds(booleans=ANY.booleans),
    "integer": Kinds(numbers=(Numbers(is_whole=True),)),
    "number": Kinds(numbers=ANY.numbers),
    "string": Kinds(strings=ANY.strings),
    "array": Kinds(arrays=ANY.arrays),
    "object": Kinds(objects=ANY.objects),
}


def kinds_of_types(value: Any, path: str) -> Kinds:
    """Return the values that `type` admits."""
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(name, str) and name in _TYPES for name in names):
        raise SchemaInvalid(path, f"it has to be one of {', '.join(_TYPES)}, or a list of some")
    return one_of(_TYPES[name] for name in names)


def kinds_of_value(value: Any, path: str) -> Kinds:
    """Return the values that equal a value. In JSON Schema, 1.0 equals 1."""
    match value:
        case None:
            return Kinds(null=True)
        case bool():
            return Kinds(booleans=frozenset({value}))
        case int() | float():
            return Kinds(numbers=(Numbers(among=(_number(value, path),)),))
        case str():
            return Kinds(strings=(Strings(among=(value,)),))
        case list():
            items = tuple(of(_only(each, f"{path}[{i}]")) for i, each in enumerate(value))
            return Kinds(arrays=(Arrays(items, NOTHING, len(items), len(items)),))
    named = tuple((name, of(_only(each, f"{path}.{name}"))) for name, each in value.items())
    return Kinds(objects=(Objects(named, rest=NOTHING, required=tuple(value), path=path),))


def _only(value: Any, path: str) -> SchemaPlace:
    """Return a schema that admits one value. Its path cannot occur in the client's schema."""
    return SchemaPlace(f"{path}=", {"const": value}, "")


def kinds_of_enum(value: Any, path: str) -> Kinds:
    """Return the values that `enum` admits."""
    if not isinstance(value, list):
        raise SchemaInvalid(path, "it has to be a list")
    return one_of(kinds_of_value(each, f"{path}[{i}]") for i, each in enumerate(value))


# ── numbers ──────────────────────────────────────────────────────────────────


def _minimum(place: SchemaPlace, value: Any, path: str) -> Numbers:
    return Numbers(least=Edge(_number(value, path), place.value.get("exclusiveMinimum") is True))


def _maximum(place: SchemaPlace, value: Any, path: str) -> Numbers:
    return Numbers(most=Edge(_number(value, path), place.value.get("exclusiveMaximum") is True))


def _exclusive_minimum(_: SchemaPlace, value: Any, path: str) -> Numbers:
    if isinstance(value, bool):  # in drafts before 6 it modifies `minimum`
        return Numbers()
    return Numbers(least=Edge(_number(value, path), is_open=True))


def _exclusive_maximum(_: SchemaPlace, value: Any, path: str) -> Numbers:
    if isinstance(value, bool):
        return Numbers()
    return Numbers(most=Edge(_number(value, path), is_open=True))


def _multiple_of(_: SchemaPlace, value: Any, path: str) -> Numbers:
    step = _number(value, path)
    if step <= 0:
        raise SchemaInvalid(path, "it has to be above 0")
    digits = int(step.scaleb(-min(int(step.as_tuple().exponent), 0)))
    remainders = digits
    for factor in (2, 5):  # whether these divide a number depends only on its last digits
        while remainders % factor == 0:
            remainders //= factor
    if digits > MAX_STEP or remainders > MAX_REMAINDERS:
        raise NotHeld(path, "multiples of a number with so many digits are not held")
    return Numbers(step=step)


def _number(value: Any, path: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise SchemaInvalid(path, "it has to be a number")
    if isinstance(value, int) or value.is_integer():
        if abs(value) > LARGEST_WHOLE:
            raise NotHeld(path, f"numbers beyond {LARGEST_WHOLE} are not held exactly")
        return Decimal(int(value))
    number = Decimal(repr(value)).normalize()
    _, digits, exponent = number.as_tuple()
    if len(digits) > MAX_DIGITS or -int(exponent) > MAX_PLACES:
        raise NotHeld(path, f"numbers of more than {MAX_DIGITS} digits are not held exactly")
    return number


# ── strings ──────────────────────────────────────────────────────────────────


def _pattern(_: SchemaPlace, value: Any, path: str) -> Strings:
    if not isinstance(value, str):
        raise SchemaInvalid(path, "it has to be a string")
    return Strings(patterns=read_patterns(value, path))


def _format(_: SchemaPlace, value: Any, path: str) -> Strings:
    if not isinstance(value, str):
        raise SchemaInvalid(path, "it has to be a string")
    if value not in HELD_FORMATS:
        raise NotHeld(path, f"of the formats, {', '.join(HELD_FORMATS)} are held")
    pattern, most = format_of(value)
    return Strings(most=most, patterns=(pattern,))


def _min_length(_: SchemaPlace, value: Any, path: str) -> Strings:
    return Strings(least=_count(value, path, MAX_LENGTH))


def _max_length(_: SchemaPlace, value: Any, path: str) -> Strings:
    return Strings(most=_count(value, path, MAX_LENGTH))


def _encoded(_: SchemaPlace, value: Any, path: str) -> Strings:
    raise NotHeld(path, "what a string encodes is not held")


# ── arrays ───────────────────────────────────────────────────────────────────


def _items(place: SchemaPlace, value: Any, path: str) -> Arrays:
    if isinstance(value, list):  # in drafts before 2020-12 it is today's `prefixItems`
        return Arrays(tuple(of(place.below("items", i)) for i in range(len(value))))
    prefix = place.value.get("prefixItems")
    length = len(prefix) if isinstance(prefix, list) else 0
    return Arrays((ANYTHING,) * length, of(place.below("items")))


def _prefix_items(place: SchemaPlace, value: Any, path: str) -> Arrays:
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        raise SchemaInvalid(path, f"it has to be a list of at most {MAX_ITEMS} schemas")
    return Arrays(tuple(of(place.below("prefixItems", i)) for i in range(len(value))))


def _additional_items(place: SchemaPlace, value: Any, path: str) -> Arrays:
    first = place.value.get("items")
    if not isinstance(first, list):
        return Arrays()
    return Arrays((ANYTHING,) * len(first), of(place.below("additionalItems")))


def _min_items(_: SchemaPlace, value: Any, path: str) -> Arrays:
    return Arrays(least=_count(value, path, MAX_ITEMS))


def _max_items(_: SchemaPlace, value: Any, path: str) -> Arrays:
    return Arrays(most=_count(value, path, MAX_ITEMS))


def _unique_items(place: SchemaPlace, value: Any, path: str) -> Arrays:
    if not isinstance(value, bool):
        raise SchemaInvalid(path, "it has to be true or false")
    most = place.value.get("maxItems")
    if value and not (isinstance(most, int) and most <= 1):
        raise NotHeld(path, "a grammar does not compare items")
    return Arrays()


def arrays_that_contain(place: SchemaPlace) -> list[Arrays]:
    """Return the arrays that `contains` admits with its bounds."""
    least, most = place.value.get("minContains", 1), place.value.get("maxContains")
    for name, bound in (("minContains", least), ("maxContains", 0 if most is None else most)):
        _count(bound, place.at(name), MAX_ITEMS)
    held = of(place.below("contains"))
    path = place.at("contains")
    if held == ANYTHING:
        return [Arrays(least=int(least), most=None if most is None else int(most))]
    if least == 0 and most == 0:
        return [Arrays(rest=tuple(atom.complement for atom in held))]
    if most is not None or least > 1:
        raise NotHeld(path, "a grammar does not count items that fit")
    longest = place.value.get("maxItems")
    if least == 0:
        return [Arrays()]
    if not isinstance(longest, int) or longest > MAX_POSITIONS:
        raise NotHeld(path, f"it is held where 'maxItems' is at most {MAX_POSITIONS}")
    return [Arrays((*(ANYTHING,) * at, held), least=at + 1) for at in range(longest)]


# ── objects ──────────────────────────────────────────────────────────────────


def _required(_: SchemaPlace, value: Any, path: str) -> Objects:
    if isinstance(value, bool):  # in draft 3 it belongs to a property's schema
        raise SchemaInvalid(path, "it has to be a list of names")
    return Objects(required=_names(value, path), path=path)


def _min_properties(_: SchemaPlace, value: Any, path: str) -> Objects:
    return Objects(least=_count(value, path, MAX_ITEMS), path=path)


def _max_properties(_: SchemaPlace, value: Any, path: str) -> Objects:
    return Objects(most=_count(value, path, MAX_ITEMS), path=path)


def _property_names(place: SchemaPlace, value: Any, path: str) -> Objects:
    return Objects(names=of(place.below("propertyNames")), path=path)


def kinds_of_dependencies(value: Any, path: str) -> list[Kinds]:
    """Return the values that each entry of `dependentRequired` admits. All entries apply."""
    if not isinstance(value, dict):
        raise SchemaInvalid(path, "it has to be an object")
    return [
        replace(
            ANY,
            objects=(
                Objects(required=_names(names, f"{path}.{name}"), path=path),
                Objects(((name, NOTHING),), path=path),
            ),
        )
        for name, names in value.items()
    ]


def absent(name: str, path: str) -> Kinds:
    """Return all values except objects that have this property."""
    return replace(ANY, objects=(Objects(((name, NOTHING),), path=path),))


def _names(value: Any, path: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise SchemaInvalid(path, "it has to be a list of names")
    return tuple(dict.fromkeys(value))


def _count(value: Any, path: str, most: int) -> int:
    if isinstance(value, float) and isfinite(value) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise SchemaInvalid(path, "it has to be a whole number from 0 on")
    if value > most:
        raise NotHeld(path, f"0 to {most} is held")
    return value


NUMBERS: dict[str, Callable[[SchemaPlace, Any, str], Numbers]] = {
    "minimum": _minimum,
    "maximum": _maximum,
    "exclusiveMinimum": _exclusive_minimum,
    "exclusiveMaximum": _exclusive_maximum,
    "multipleOf": _multiple_of,
}
STRINGS: dict[str, Callable[[SchemaPlace, Any, str], Strings]] = {
    "pattern": _pattern,
    "format": _format,
    "minLength": _min_length,
    "maxLength": _max_length,
    "contentEncoding": _encoded,
    "contentMediaType": _encoded,
    "contentSchema": _encoded,
}
ARRAYS: dict[str, Callable[[SchemaPlace, Any, str], Arrays]] = {
    "prefixItems": _prefix_items,
    "items": _items,
    "additionalItems": _additional_items,
    "minItems": _min_items,
    "maxItems": _max_items,
    "uniqueItems": _unique_items,
}
OBJECTS: dict[str, Callable[[SchemaPlace, Any, str], Objects]] = {
    "required": _required,
    "minProperties": _min_properties,
    "maxProperties": _max_properties,
    "propertyNames": _property_names,
}
