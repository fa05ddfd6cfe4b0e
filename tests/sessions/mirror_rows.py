"""Makes events as sync stores them, and applies their projections."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from chain.mirror.projections import apply as apply_events
from chain.mirror.records import EventRecord

_numbers = count(1)
_START = datetime(2026, 1, 1, tzinfo=UTC)


def event(contract: str, name: str, args: dict[str, Any]) -> EventRecord:
    """Make an event in a block of its own."""
    number = next(_numbers)
    return EventRecord(
        contract=contract,
        name=name,
        args=args,
        block_number=number,
        block_hash="0x" + number.to_bytes(32, "big").hex(),
        log_index=0,
        tx_hash="0x" + (number + 2**64).to_bytes(32, "big").hex(),
        timestamp=_START + timedelta(seconds=number),
    )


def apply(*events: EventRecord) -> None:
    """Apply the projections of events to the mirror."""
    apply_events(events)
