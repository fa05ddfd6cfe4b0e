"""Fetched events and blocks that are not stored yet. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chain.rpc.client import Header


@dataclass(frozen=True)
class EventRecord:
    """An event of one of this project's contracts.

    In `args`, integers are ints, bytes are 0x hex, and addresses are checksummed. Hashes are
    lower-case 0x hex. `timestamp` is that of the block, in UTC.
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
class Batch:
    """Consecutive blocks and their events.

    `headers` contains the headers of the blocks with events, and that of the last block.
    """

    first_block: int
    headers: list[Header]
    events: list[EventRecord]

    @property
    def last_block(self) -> int:
        """The number of the last block, whether it has events or not."""
        return self.headers[-1].number
