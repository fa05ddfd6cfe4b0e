"""Stores blocks, events and the rows that events change, and undoes them after a fork.

Each function is one transaction, so events and mirror are always complete up to the highest stored
block (the cursor).
"""

import json
from collections.abc import Iterable, Iterator

from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Least

from chain.mirror import projections, undo, upserts
from chain.mirror.records import Batch, EventRecord
from chain.models import Block, Event, NewsCursor
from chain.postgres.leadership import lock_for_transaction
from chain.postgres.wakeup import notify

CHANNEL = "chain_events"
LOCK = "sync"

_COLUMNS = (
    "block_id",
    "block_hash",
    "log_index",
    "tx_hash",
    "contract",
    "name",
    "args",
    "timestamp",
)


def cursor() -> Block | None:
    """Return the last stored block, up to which the mirror is complete."""
    return Block.objects.order_by("-number").first()


@transaction.atomic
def store(batch: Batch, after: Block | None, head: int) -> bool:
    """Store the batch that follows block `after`.

    Args:
        head: the number of the chain's last block. Batches near it can be undone.

    Return False if another batch was stored in the meantime.
    """
    lock_for_transaction(LOCK)
    if cursor() != after:
        return False
    Block.objects.bulk_create(
        Block(
            number=header.number,
            hash=header.hash,
            parent_hash=header.parent_hash,
            timestamp=header.timestamp,
        )
        for header in batch.headers
    )
    _copy(batch.events)
    _project(batch.first_block, batch.last_block, head, batch.events)
    if batch.events:
        notify(CHANNEL)
    return True


@transaction.atomic
def go_back(before: Block, first_orphan: int) -> int | None:
    """Undo all blocks from `first_orphan` on.

    Args:
        before: the cursor at the time of the caller's decision.

    Return how many events were orphaned, or None if the cursor has moved in the meantime.
    """
    lock_for_transaction(LOCK)
    if cursor() != before:
        return None
    orphaned, _ = Event.objects.filter(block_id__gte=first_orphan).delete()
    Block.objects.filter(number__gte=first_orphan).delete()
    _take_readers_back(first_orphan)
    undone_from = undo.go_back_before(first_orphan, before.number)
    if undone_from is None:
        undo.forget()
        projections.rebuild(stored_events())
    elif undone_from < first_orphan:
        # The batch that contains the fork was undone as a whole. Apply its remaining blocks again.
        kept = Event.objects.filter(block_id__gte=undone_from)
        _project(undone_from, first_orphan - 1, before.number, list(stored_events(kept)))
    notify(CHANNEL)
    return orphaned


@transaction.atomic
def rebuild() -> None:
    """Empty the mirror and fill it again from the stored events."""
    lock_for_transaction(LOCK)
    undo.forget()
    projections.rebuild(stored_events())
    notify(CHANNEL)


@transaction.atomic
def forget() -> None:
    """Empty the mirror and delete all blocks and events."""
    lock_for_transaction(LOCK)
    undo.forget()
    projections.rebuild(())
    Event.objects.all().delete()
    Block.objects.all().delete()
    _take_readers_back(0)


def stored_events(events: "QuerySet[Event] | None" = None) -> Iterator[EventRecord]:
    """Return the stored events in the chain's order: all of them, or those of a query."""
    events = Event.objects.all() if events is None else events
    return (_record(event) for event in events.order_by("block_id", "log_index").iterator())


def _take_readers_back(first_orphan: int) -> None:
    """Move the cursors of event readers (`chain.following.news`) to before this block."""
    # Write every row, even if its block does not change: each reader has to notice each fork.
    NewsCursor.objects.update(block=Least(F("block"), first_orphan - 1), forks=F("forks") + 1)


def _project(first_block: int, last_block: int, head: int, events: list[EventRecord]) -> None:
    tables = projections.tables_of(events)
    undo.remember(first_block, last_block, head, tables)
    upserts.write(tables)


def _copy(events: Iterable[EventRecord]) -> None:
    """Insert events by COPY, PostgreSQL's fastest way to insert rows."""
    statement = f"COPY {Event._meta.db_table} ({', '.join(_COLUMNS)}) FROM STDIN"
    with (
        connection.cursor() as db,
        connection.wrap_database_errors,
        db.copy(statement) as copy,
    ):
        for event in events:
            copy.write_row(
                (
                    event.block_number,
                    event.block_hash,
                    event.log_index,
                    event.tx_hash,
                    event.contract,
                    event.name,
                    json.dumps(event.args),
                    event.timestamp,
                )
            )


def _record(event: Event) -> EventRecord:
    return EventRecord(
        contract=event.contract,
        name=event.name,
        args=event.args,
        block_number=event.block_number,
        block_hash=event.block_hash,
        log_index=event.log_index,
        tx_hash=event.tx_hash,
        timestamp=event.timestamp,
    )
