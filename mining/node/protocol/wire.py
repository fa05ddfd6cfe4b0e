"""Objects that cross the boundary between a router and a miner as JSON. Neither side is trusted.

Reading an object validates it. A member that is missing or of the wrong type raises `Malformed`,
which names the member.
"""

import json
import re
import types
import uuid
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Any, ClassVar, Self, TypeVar, get_args, get_origin, get_type_hints

ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_HEX = re.compile(r"0x(?:[0-9a-f]{2})*")
W = TypeVar("W", bound="Wire")
_hints: Callable[[type], dict[str, Any]] = cache(get_type_hints)


class Malformed(ValueError):
    """A job or a report is invalid. `field` names the faulty member."""

    def __init__(self, name: str, reason: str, remedy: str) -> None:
        super().__init__(f"{name}: {reason}; {remedy}")
        self.field, self.reason, self.remedy = name, reason, remedy


@dataclass(frozen=True, kw_only=True)
class Wire:
    """Base class of the dataclasses that are sent as JSON objects.

    Bytes are sent as 0x hex. A member that is None is left out. `TYPE` is the type of a report,
    and empty for everything else.
    """

    TYPE: ClassVar[str] = ""

    def to_json(self) -> dict[str, Any]:
        """Return the object as plain JSON values."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: _plain(value) for name, value in values.items() if value is not None}

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read a JSON object. Members that this version does not know are ignored.

        A member that has a default may be missing.

        Raises:
            Malformed: another member is missing, or a member is invalid.
        """
        if not isinstance(value, Mapping):
            raise Malformed(cls.__name__, f"is {type(value).__name__}", "send a JSON object")
        hints = _hints(cls)
        given = [
            item.name
            for item in fields(cls)
            if item.name in value or (item.default is MISSING and item.default_factory is MISSING)
        ]
        return cls(**{name: _read(value, name, hints[name]) for name in given})


def read_entry(entry: Mapping[str, str], kinds: Mapping[str, type[W]]) -> W:
    """Read a stream's entry as one of `kinds`, which are keyed by `TYPE`. Raises Malformed."""
    kind = kinds.get(entry.get("type", ""))
    if kind is None:
        raise Malformed("type", "is unknown", f"send one of {', '.join(kinds)}")
    return kind.from_json(read_json(entry.get("body", ""), "body"))


def read_json(text: str, name: str) -> object:
    """Parse JSON from an untrusted sender. Raises Malformed, whose field is `name`."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Malformed(name, f"is not JSON ({error})", "send a JSON object") from error
    return value


def require_uuid(text: str) -> None:
    """Raise Malformed if an assignment's id is not a canonical UUID.

    The id becomes part of file names and Redis keys, so other texts are not safe.
    """
    try:
        canonical: str | None = str(uuid.UUID(text))
    except ValueError:
        canonical = None
    if text != canonical:
        raise Malformed("assignment_id", "is not a UUID", "send one in lower case with hyphens")


def require_at_least(name: str, value: int, least: int) -> None:
    """Raise Malformed if a number is too small."""
    if value < least:
        raise Malformed(name, f"is {value}", f"send at least {least}")


def require_at_most(name: str, value: int, most: int) -> None:
    """Raise Malformed if a number is too large."""
    if value > most:
        raise Malformed(name, f"is more than {most}", f"send at most {most}")


def _plain(value: Any) -> Any:
    if isinstance(value, Wire):
        return value.to_json()
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict):
        return {str(key): member for key, member in value.items()}
    return list(value) if isinstance(value, list) else value


def _read(source: Mapping[str, Any], name: str, kind: Any) -> Any:
    if name not in source:
        raise Malformed(name, "is missing", "send it")
    value = source[name]
    if isinstance(kind, types.UnionType):
        kind = next(each for each in get_args(kind) if each is not types.NoneType)
    if isinstance(kind, type) and issubclass(kind, Wire):
        return _read_object(value, name, kind)
    if kind is bytes:
        if isinstance(value, str) and _HEX.fullmatch(value):
            return bytes.fromhex(value[2:])
        raise Malformed(name, "is not hex text", "send 0x and lower-case hex digits")
    if kind is float and type(value) is int:
        try:
            return float(value)
        except OverflowError as error:
            raise Malformed(name, "is too large for a float", "send a smaller number") from error
    plain = get_origin(kind) or kind
    if type(value) is not plain:
        wanted = plain.__name__ if isinstance(plain, type) else str(plain)
        raise Malformed(name, f"is {type(value).__name__}", f"send {wanted}")
    if isinstance(kind, types.GenericAlias):
        *_, inner = get_args(kind)
        if plain is dict:
            return {_number(key, name): _read({name: value[key]}, name, inner) for key in value}
        return [_read({name: member}, name, inner) for member in value]
    return value


def _read_object(value: object, name: str, kind: type[W]) -> W:
    if not isinstance(value, Mapping):
        members = ", ".join(item.name for item in fields(kind))
        raise Malformed(name, f"is {type(value).__name__}", f"send an object of {members}")
    try:
        return kind.from_json(value)
    except Malformed as error:
        raise Malformed(f"{name}.{error.field}", error.reason, error.remedy) from error


def _number(text: object, name: str) -> int:
    """Parse a member's name that is the number of a token or of a model."""
    if isinstance(text, str) and text.isdecimal() and len(text) < 20:
        return int(text)
    raise Malformed(name, f"has {text!r}, which is not a number", "send numbers as names")
