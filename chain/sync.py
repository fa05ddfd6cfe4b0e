"""Follows the chain: logs become events, and events the mirror.

A batch's blocks, events and projections are written in one transaction, so that the highest
stored block always says how far the mirror has come. A fork is found by the stored hashes.
"""

import logging
import threading
from collections.abc import Callable, Iterator

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, transaction

from chain import projections
from chain.contracts import Deployment, deployment
from chain.fetch import Batch, Fetcher
from chain.leadership import lock_for_transaction
from chain.models import Block, Event
from chain.projections import EventRecord
from chain.rpc import Header, Rpc, RpcError, RpcInconsistent
from chain.signals import events_stored
from chain.wakeup import notify

CHANNEL = "chain_events"
LOCK = "sync"
POLL_S = 0.3
MAX_PAUSE_S = 10.0
ANCESTORS_AT_ONCE = 50

logger = logging.getLogger(__name__)


def run(stop: threading.Event, beat: Callable[[], None]) -> None:
    """Follow the chain until `stop` is set. A node or database that is away is waited for."""
    follower = Follower(Rpc(settings.RPC_URL), deployment())
    # What listeners missed when the last run ended, they can make up for now.
    _announce([])
    pause_s = POLL_S
    while not stop.is_set():
        beat()
        try:
            moved = follower.step()
            pause_s = POLL_S
        except RpcError as error:
            logger.warning("%s; trying again in %.1f s", error, pause_s)
            moved, pause_s = False, min(pause_s * 2, MAX_PAUSE_S)
        except (OperationalError, InterfaceError):
            logger.exception("the database is away; trying again in %.1f s", pause_s)
            close_old_connections()
            moved, pause_s = False, min(pause_s * 2, MAX_PAUSE_S)
        if not moved:
            stop.wait(pause_s)


def rebuild_mirror() -> None:
    """Empty the mirror and fill it again from the stored events."""
    with transaction.atomic():
        lock_for_transaction(LOCK)
        projections.rebuild(_records())
        notify(CHANNEL)
    _announce([])


class Follower:
    """Takes the mirror along the chain, step by step."""

    def __init__(self, rpc: Rpc, deployment: Deployment) -> None:
        self._rpc = rpc
        self._deployment = deployment
        self._fetcher = Fetcher(rpc, deployment)

    def step(self) -> bool:
        """Store the next batch, or go back to where the chain has forked.

        Return whether there was anything to do. Raises RpcError; then nothing has changed.
        """
        self._rpc.require_chain(self._deployment.chain_id)
        head = self._rpc.latest()
        cursor = Block.objects.order_by("-number").first()
        if cursor is not None and not self._is_canonical(cursor, head):
            self._go_back(cursor, head)
            return True
        first = self._deployment.start_block if cursor is None else cursor.number + 1
        if first > head.number:
            return False
        batch = self._fetcher.fetch(first, head, None if cursor is None else cursor.hash)
        return self._store(batch, cursor)

    def _is_canonical(self, cursor: Block, head: Header) -> bool:
        """Whether the chain still has what the mirror was built from."""
        if head.number == cursor.number + 1:
            return head.parent_hash == cursor.hash
        if head.number >= cursor.number:
            return self._has(cursor)
        # A lagging node is no fork: what it has may be what we have.
        below = Block.objects.filter(number__lte=head.number).order_by("-number").first()
        return below is not None and self._has(below)

    def _has(self, block: Block) -> bool:
        [header] = self._rpc.headers([block.number])
        if header is None:
            raise RpcInconsistent(f"{self._rpc.host}: block {block.number} is missing")
        return header.hash == block.hash

    def _go_back(self, cursor: Block, head: Header) -> None:
        ancestor = self._ancestor(head)
        first_orphan = 0 if ancestor is None else ancestor.number + 1
        with transaction.atomic():
            lock_for_transaction(LOCK)
            orphans = Event.objects.filter(block_id__gte=first_orphan)
            orphaned = [_record(event) for event in orphans]
            orphans.delete()
            Block.objects.filter(number__gte=first_orphan).delete()
            projections.rebuild(_records(), orphaned)
            notify(CHANNEL)
        logger.warning(
            "the chain has forked: from block %d back to %d, %d events orphaned",
            cursor.number,
            first_orphan - 1,
            len(orphaned),
        )
        _announce([])

    def _ancestor(self, head: Header) -> Block | None:
        """The highest stored block that the chain still has."""
        known = Block.objects.filter(number__lte=head.number).order_by("-number")
        below = head.number + 1
        while stored := list(known.filter(number__lt=below)[:ANCESTORS_AT_ONCE]):
            headers = self._rpc.headers([block.number for block in stored])
            for block, header in zip(stored, headers, strict=True):
                if header is not None and header.hash == block.hash:
                    return block
            below = stored[-1].number
        return None

    def _store(self, batch: Batch, cursor: Block | None) -> bool:
        blocks = [
            Block(
                number=header.number,
                hash=header.hash,
                parent_hash=header.parent_hash,
                timestamp=header.timestamp,
            )
            for header in batch.headers
        ]
        with transaction.atomic():
            lock_for_transaction(LOCK)
            if Block.objects.order_by("-number").first() != cursor:
                return True  # another follower was here meanwhile
            Block.objects.bulk_create(blocks)
            Event.objects.bulk_create([_row(record) for record in batch.events], batch_size=500)
            projections.apply(batch.events)
            if batch.events:
                notify(CHANNEL)
        if batch.events:
            _announce(batch.events)
        return True


def _announce(events: list[EventRecord]) -> None:
    events_stored.send_robust(sender=Follower, events=events)


def _records() -> Iterator[EventRecord]:
    return (_record(event) for event in Event.objects.order_by("block_id", "log_index").iterator())


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


def _row(record: EventRecord) -> Event:
    return Event(
        block_id=record.block_number,
        block_hash=record.block_hash,
        log_index=record.log_index,
        tx_hash=record.tx_hash,
        contract=record.contract,
        name=record.name,
        args=record.args,
        timestamp=record.timestamp,
    )
