"""How events become rows of the mirror.

A projection is a pure function from an event to changes, registered for a contract's event:

    @projection("SessionPayment", "SessionDeposited")
    def deposited(event: EventRecord) -> Sequence[Change]:
        amount = event.args["amount"]
        return [Upsert(Session, key={"session_id": …}, add={"deposited_wei": amount})]

Everything in a mirror's tables comes from projections, so they can be emptied and filled again
from the stored events. Their models are `Mirrored`.
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
    """Register a function for the events of that name of that contract."""

    def register(function: Projection) -> Projection:
        _registry[contract, name].append(function)
        return function

    return register


def changes_of(event: EventRecord) -> list[Change]:
    """All that an event changes."""
    functions = _registry.get((event.contract, event.name), ())
    return [change for function in functions for change in function(event)]


def tables_of(events: Iterable[EventRecord]) -> list[Table]:
    """All that events change, in their order, as one change a row."""
    return fold(change for event in events for change in changes_of(event))


def apply(events: Iterable[EventRecord]) -> None:
    """Write what events change. In the caller's transaction."""
    write(tables_of(events))


def rebuild(stored: Iterable[EventRecord]) -> None:
    """Empty the mirror and fill it again. In the caller's transaction.

    Args:
        stored: every event that counts, in the chain's order.
    """
    with connection.cursor() as cursor:
        # Triggers that tell of single rows tell of all of them once, in this transaction.
        cursor.execute("SELECT set_config('cortensor.rebuilding', 'on', true)")
    for model in mirrored_models():
        model._default_manager.all().delete()
    for chunk in batched(stored, EVENTS_AT_ONCE):
        apply(chunk)


def batched(events: Iterable[EventRecord], size: int) -> Iterator[list[EventRecord]]:
    """The events in lists of at most `size`."""
    left = iter(events)
    while chunk := list(islice(left, size)):
        yield chunk
