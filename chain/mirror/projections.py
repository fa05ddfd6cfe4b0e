"""Projections, which turn events into rows of the mirror.

A projection is a pure function from an event to changes. It is registered for one event of one
contract:

    @projection("SessionPayment", "SessionDeposited")
    def deposited(event: EventRecord) -> Sequence[Change]:
        amount = event.args["amount"]
        return [Upsert(Session, key={"session_id": …}, add={"deposited_wei": amount})]

Only projections write the mirror's tables, so the tables can be emptied and filled again from the
stored events. Their models are subclasses of `Mirrored`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from django.db import connection

from chain.mirror.records import EventRecord
from chain.mirror.upserts import Table, Upsert, fold, write
from chain.models.mirrored import mirrored_models

__all__ = [
    "Change",
    "Projection",
    "Upsert",
    "apply",
    "changes_of",
    "projection",
    "rebuild",
    "tables_of",
]

EVENTS_AT_ONCE = 2000


Change = Upsert
Projection = Callable[[EventRecord], Sequence[Change]]

_registry: dict[tuple[str, str], list[Projection]] = defaultdict(list)


def projection(contract: str, name: str) -> Callable[[Projection], Projection]:
    """Register a projection for a contract's events of this name."""

    def register(function: Projection) -> Projection:
        _registry[contract, name].append(function)
        return function

    return register


def changes_of(event: EventRecord) -> list[Change]:
    """Return all changes that an event makes."""
    functions = _registry.get((event.contract, event.name), ())
    return [change for function in functions for change in function(event)]


def tables_of(events: Iterable[EventRecord]) -> list[Table]:
    """Return all changes that events make, folded into one change per row."""
    return fold(change for event in events for change in changes_of(event))


def apply(events: Iterable[EventRecord]) -> None:
    """Write the changes that events make, in the caller's transaction."""
    write(tables_of(events))


def rebuild(stored: Iterable[EventRecord]) -> None:
    """Empty the mirror and fill it again, in the caller's transaction.

    Args:
        stored: all events to apply, in the chain's order.
    """
    with connection.cursor() as cursor:
        # In this transaction, the triggers send one notification for all rows, not one for each.
        cursor.execute("SELECT set_config('cortensor.rebuilding', 'on', true)")
    for model in mirrored_models():
        model._default_manager.all().delete()
    for chunk in batched(stored, EVENTS_AT_ONCE):
        apply(chunk)


def batched(events: Iterable[EventRecord], size: int) -> Iterator[list[EventRecord]]:
    """Yield the events in lists of at most `size`."""
    left = iter(events)
    while chunk := list(islice(left, size)):
        yield chunk
