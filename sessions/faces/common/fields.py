"""Serializer fields that accept only their own JSON type.

The REST framework's fields also accept other types, for example the string '12' as a number.
"""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from rest_framework import serializers

MAX_DIGITS = 19
"""The number of digits of the largest integer that the database can store."""


class Whole(serializers.IntegerField):
    """A whole JSON number. `60.0` is accepted too, because some Python clients send it."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, float) and data.is_integer() and abs(data) < 2**53:
            return int(data)
        if isinstance(data, bool) or not isinstance(data, int):
            raise serializers.ValidationError(f"must be an integer, not {json_type(data)}")
        return data


class Identifier(Whole):
    """The number of a session or a task, as a JSON number or a string of digits.

    Many clients read session numbers from environment variables, which are strings.
    """

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, str):
            return super().to_internal_value(data)
        if not (data.isascii() and data.isdecimal() and len(data) <= MAX_DIGITS):
            raise serializers.ValidationError(
                "must be a whole number; a string has to be its decimal digits alone"
            )
        return int(data)


def session_number(**options: Any) -> Identifier:
    """Return a field for a session number."""
    return Identifier(min_value=1, max_value=2**63 - 1, **options)


def task_number(**options: Any) -> Identifier:
    """Return a field for the number of a task in its session."""
    return Identifier(min_value=0, max_value=2**53 - 1, **options)


class Text(serializers.CharField):
    """A JSON string. Its whitespace is kept."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError(f"must be a string, not {json_type(data)}")
        return data


class Wei(serializers.Field):
    """An amount in wei: a string of digits, or a JSON integer."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, int) and not isinstance(data, bool):
            data = str(data)
        if not isinstance(data, str) or not (data.isascii() and data.isdecimal()):
            raise serializers.ValidationError(
                f"must be wei as a string of digits, not {json_type(data)}"
            )
        if len(data) > 78 or int(data) >= 2**256:
            raise serializers.ValidationError("must be below 2^256")
        return int(data)

    def to_representation(self, value: int) -> str:
        return str(value)


class Flag(serializers.BooleanField):
    """`true` or `false`."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError(f"must be true or false, not {json_type(data)}")
        return data


class Hundredths(serializers.Field):
    """A JSON number, converted to whole hundredths, which is the unit on the chain."""

    def __init__(self, *, least: float, most: float, too_low: str = "", **kwargs: Any) -> None:
        self.least, self.most, self.too_low = least, most, too_low
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int | float):
            raise serializers.ValidationError(f"must be a number, not {json_type(data)}")
        if data < self.least and self.too_low:
            raise serializers.ValidationError(self.too_low)
        if not self.least <= data <= self.most:
            raise serializers.ValidationError(f"must be from {self.least:g} to {self.most:g}")
        return int((Decimal(str(data)) * 100).quantize(Decimal(1), ROUND_HALF_UP))

    def to_representation(self, value: int) -> float:
        return value / 100


def json_type(value: Any) -> str:
    """Return the name of a JSON value's type, with its article."""
    names = {bool: "a boolean", int: "an integer", float: "a number", str: "a string"}
    names |= {list: "a list", dict: "an object"}
    return names.get(type(value), "null")
