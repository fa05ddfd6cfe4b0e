"""How events become rows of the mirror.

A projection is a pure function from an event to changes, registered for a contract's event:

    @projection("SessionPayment", "SessionDeposited")
    def deposited(event: EventRecord) -> Sequence[Change]:
        amount = event.args["amount"]
        return [Upsert(Session, key={"session_id": …}, add={"deposited_wei": amount})]

Everything in a mirror table comes from projections, so the table can be emptied and filled again
from the stored events. `key` must be what a unique constraint (or the primary key) is on.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from django.db import connection, models

MAX_ROWS_A_STATEMENT = 500
EVENTS_AT_ONCE = 2000


@dataclass(frozen=True)
class EventRecord:
    """An event of one of our contracts.

    In `args` integers are ints, bytes are 0x hex, addresses are checksummed; `timestamp` is the
    block's, in UTC; hashes are lower-case 0x hex.
    """

    contract: str
    name: str
    args: dict[str, Any]
    block_number: int
    block_hash: str
    log_index: int
    tx_hash: str
    timestamp: datetime


@dataclass(frozen=True)
class Upsert:
    """A change of the row with that key, which is made when there is none.

    `set` fields take the value; `add` fields (of numbers, default 0) grow by it.
    """

    model: type[models.Model]
    key: dict[str, Any]
    set: dict[str, Any] = field(default_factory=dict)
    add: dict[str, int] = field(default_factory=dict)


Change = Upsert
Projection = Callable[[EventRecord], Sequence[Change]]

_registry: dict[tuple[str, str], list[Projection]] = defaultdict(list)


def projection(contract: str, name: str) -> Callable[[Projection], Projection]:
    """Register a function for the events of that name of that contract."""

    def register(function: Projection) -> Projection:
        _registry[contract, name].append(function)
        return function

    return register


def changes_of(event: EventRecord) -> list[Change]:
    """All that an event changes."""
    functions = _registry.get((event.contract, event.name), ())
    return [change for function in functions for change in function(event)]


def apply(events: Iterable[EventRecord]) -> None:
    """Write what events change, in their order. In the caller's transaction."""
    write(change for event in events for change in changes_of(event))


def rebuild(stored: Iterable[EventRecord], orphaned: Iterable[EventRecord] = ()) -> None:
    """Empty the mirror and fill it again from all stored events. In the caller's transaction.

    Args:
        stored: every event that counts, in the chain's order.
        orphaned: events that the mirror was built from and that count no more; the tables that
            only they have touched are emptied too.
    """
    emptied: set[type[models.Model]] = set()

    def empty(changes: Iterable[Change]) -> None:
        for model in {change.model for change in changes} - emptied:
            model._default_manager.all().delete()
            emptied.add(model)

    for chunk in batched(orphaned, EVENTS_AT_ONCE):
        empty(change for event in chunk for change in changes_of(event))
    for chunk in batched(stored, EVENTS_AT_ONCE):
        changes = [change for event in chunk for change in changes_of(event)]
        empty(changes)
        write(changes)


def batched(events: Iterable[EventRecord], size: int) -> Iterator[list[EventRecord]]:
    """The events in lists of at most `size`."""
    left = iter(events)
    while chunk := list(islice(left, size)):
        yield chunk


def write(changes: Iterable[Change]) -> None:
    """Write changes in as few statements as their shapes allow; the order within a row is kept."""
    tables: dict[type[models.Model], dict[tuple[Any, ...], _Row]] = defaultdict(dict)
    for change in changes:
        names = tuple(sorted(change.key))
        identity = (names, *(change.key[name] for name in names))
        row = tables[change.model].setdefault(identity, _Row(change.key))
        row.take(change)
    for model, rows in tables.items():
        shapes: dict[tuple[tuple[str, ...], ...], list[_Row]] = defaultdict(list)
        for row in rows.values():
            shapes[row.shape].append(row)
        for alike in shapes.values():
            for start in range(0, len(alike), MAX_ROWS_A_STATEMENT):
                _upsert(model, alike[start : start + MAX_ROWS_A_STATEMENT])


@dataclass
class _Row:
    """All changes of one row, folded into one."""

    key: dict[str, Any]
    set: dict[str, Any] = field(default_factory=dict)
    add: dict[str, int] = field(default_factory=dict)

    def take(self, change: Change) -> None:
        for name, value in change.set.items():
            self.add.pop(name, None)
            self.set[name] = value
        for name, amount in change.add.items():
            if name in self.set:
                self.set[name] += amount
            else:
                self.add[name] = self.add.get(name, 0) + amount

    @property
    def shape(self) -> tuple[tuple[str, ...], ...]:
        return tuple(self.key), tuple(sorted(self.set)), tuple(sorted(self.add))


def _upsert(model: type[models.Model], rows: Sequence[_Row]) -> None:
    quote = connection.ops.quote_name
    fields = [
        column
        for column in model._meta.concrete_fields
        if not (isinstance(column, models.AutoField) and column.attname not in rows[0].key)
    ]
    values: list[Any] = []
    for row in rows:
        # The model's own defaults fill what the change does not say.
        instance = model(**row.key, **row.set, **row.add)
        values += [
            column.get_db_prep_save(column.pre_save(instance, add=True), connection)
            for column in fields
        ]
    table = quote(model._meta.db_table)
    columns = {column.name: quote(str(column.column)) for column in fields}
    first = rows[0]
    updates = [f"{columns[name]} = EXCLUDED.{columns[name]}" for name in first.set]
    updates += [
        f"{columns[name]} = COALESCE({table}.{columns[name]}, 0) + EXCLUDED.{columns[name]}"
        for name in first.add
    ]
    one = "(" + ", ".join(["%s"] * len(fields)) + ")"
    statement = (
        f"INSERT INTO {table} ({', '.join(columns.values())})"  # noqa: S608 - names of our models
        f" VALUES {', '.join([one] * len(rows))}"
        f" ON CONFLICT ({', '.join(columns[name] for name in first.key)})"
        + (f" DO UPDATE SET {', '.join(updates)}" if updates else " DO NOTHING")
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
