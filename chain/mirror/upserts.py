"""Writes changes of rows in bulk, with the same effect as one by one.

Projections return an `Upsert` for each change. The changes of a batch are folded into one per row.
One statement then writes all rows that change the same fields.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, models

from chain.models.mirrored import Mirrored

MAX_ROWS_A_STATEMENT = 5000

Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Upsert:
    """A change of the row with this key. The row is created if it does not exist.

    Fields in `set` are set to the value. Numeric fields in `add` (default 0) are increased by it.
    A unique constraint or the primary key must be on the fields of `key`.
    """

    model: type[Mirrored]
    key: dict[str, Any]
    set: dict[str, Any] = field(default_factory=dict)
    add: dict[str, int] = field(default_factory=dict)


class Row:
    """All changes of one row, folded into one in their order."""

    __slots__ = ("add", "key", "set")

    def __init__(self, key: dict[str, Any]) -> None:
        self.key = key
        self.set: dict[str, Any] = {}
        self.add: dict[str, int] = {}

    def take(self, change: Upsert) -> None:
        """Fold in the next change."""
        for name, value in change.set.items():
            self.add.pop(name, None)
            self.set[name] = value
        for name, amount in change.add.items():
            if name in self.set:
                self.set[name] += amount
            else:
                self.add[name] = self.add.get(name, 0) + amount


@dataclass(frozen=True)
class Table:
    """The changed rows of one model that are identified by the same key fields."""

    model: type[Mirrored]
    key: Names
    rows: list[Row]


def fold(changes: Iterable[Upsert]) -> list[Table]:
    """Fold the changes into one per row.

    Raises:
        TypeError: a model is not a subclass of `Mirrored`.
    """
    tables: dict[tuple[type[Mirrored], Names], dict[tuple[Any, ...], Row]] = defaultdict(dict)
    for change in changes:
        key = change.key
        names = tuple(sorted(key))
        rows = tables[change.model, names]
        identity = tuple([key[name] for name in names])
        row = rows.get(identity)
        if row is None:
            row = rows[identity] = Row(key)
        row.take(change)
    for model, _ in tables:
        if not issubclass(model, Mirrored):
            raise TypeError(
                f"{model.__name__} is written by projections, so it has to subclass Mirrored"
            )
    return [Table(model, key, list(rows.values())) for (model, key), rows in tables.items()]


def write(tables: Iterable[Table]) -> None:
    """Write folded changes with as few statements as possible, in the caller's transaction."""
    for table in tables:
        shapes: dict[tuple[frozenset[str], frozenset[str]], list[Row]] = defaultdict(list)
        for row in table.rows:
            shapes[frozenset(row.set), frozenset(row.add)].append(row)
        for (set_names, add_names), alike in shapes.items():
            shape = _Shape(table.model, table.key, sorted(set_names), sorted(add_names))
            for start in range(0, len(alike), MAX_ROWS_A_STATEMENT):
                shape.write(alike[start : start + MAX_ROWS_A_STATEMENT])


class _Shape:
    """The statement for rows of one model that change the same fields.

    Each field's values are passed as one array. New rows have the model's defaults in all other
    fields.
    """

    def __init__(
        self,
        model: type[Mirrored],
        key: Names,
        set_names: Sequence[str],
        add_names: Sequence[str],
    ) -> None:
        self._key, self._set, self._add = key, set_names, add_names
        columns = {column.name: column for column in model._meta.concrete_fields}
        self._given = [columns[name] for name in (*key, *set_names, *add_names)]
        self._defaults = [
            column
            for column in columns.values()
            if column not in self._given and not isinstance(column, models.AutoField)
        ]
        self._statement = self._sql(model)

    def write(self, rows: Sequence[Row]) -> None:
        """Insert or change these rows."""
        arrays: list[list[Any]] = [[row.key[name] for row in rows] for name in self._key]
        arrays += [[row.set[name] for row in rows] for name in self._set]
        arrays += [[row.add[name] for row in rows] for name in self._add]
        parameters: list[Any] = [
            [column.get_db_prep_save(value, connection) for value in values]
            for column, values in zip(self._given, arrays, strict=True)
        ]
        defaults = [
            column.get_db_prep_save(column.get_default(), connection) for column in self._defaults
        ]
        with connection.cursor() as cursor:
            cursor.execute(self._statement, [*defaults, *parameters])

    def _sql(self, model: type[Mirrored]) -> str:
        quote = connection.ops.quote_name
        table = quote(model._meta.db_table)
        name_of = {column.name: quote(str(column.column)) for column in model._meta.concrete_fields}
        aliases = [f"c{number}" for number, _ in enumerate(self._given)]
        target = [name_of[column.name] for column in (*self._given, *self._defaults)]
        source = [f"u.{alias}" for alias in aliases]
        source += [f"%s::{column.db_type(connection)}" for column in self._defaults]
        arrays = [f"%s::{_element_type(column)}[]" for column in self._given]
        updates = [f"{name_of[name]} = EXCLUDED.{name_of[name]}" for name in self._set]
        updates += [
            f"{name_of[name]} = COALESCE({table}.{name_of[name]}, 0) + EXCLUDED.{name_of[name]}"
            for name in self._add
        ]
        return (
            f"INSERT INTO {table} ({', '.join(target)})"  # noqa: S608 - names of our models
            f" SELECT {', '.join(source)}"
            f" FROM unnest({', '.join(arrays)}) AS u({', '.join(aliases)})"
            f" ON CONFLICT ({', '.join(name_of[name] for name in self._key)})"
            + (f" DO UPDATE SET {', '.join(updates)}" if updates else " DO NOTHING")
        )


def _element_type(column: "models.Field[Any, Any]") -> str:
    # A cast to varchar(n) would truncate a long value, while an insert refuses it.
    return "text" if isinstance(column, models.CharField) else str(column.db_type(connection))
