"""Fields for the EVM's 256-bit integers and addresses."""

from decimal import Decimal
from typing import Any

from django.db import models


class Uint256Field(models.DecimalField):
    """An integer of up to 256 bits, an `int` in Python. Amounts of money are in wei of $COR."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs |= {"max_digits": 78, "decimal_places": 0}
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        name, path, args, kwargs = super().deconstruct()
        del kwargs["max_digits"], kwargs["decimal_places"]
        return name, path, list(args), dict(kwargs)

    def from_db_value(self, value: Decimal | None, *_: Any) -> int | None:
        return None if value is None else int(value)


class AddressField(models.CharField):
    """An account's address as lower-case hex, so that equal addresses are equal strings."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs |= {"max_length": 42}
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        name, path, args, kwargs = super().deconstruct()
        del kwargs["max_length"]
        return name, path, list(args), dict(kwargs)

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else str(value).lower()
