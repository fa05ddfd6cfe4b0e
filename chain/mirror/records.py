"""Events and blocks as they were fetched, before they are stored. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chain.rpc.client import Header


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
class Batch:
    """Consecutive blocks: the headers of those with events and of the last one, and the events."""

    first_block: int
    headers: list[Header]
    events: list[EventRecord]

    @property
    def last_block(self) -> int:
        """The number of the last block, whether it has events or not."""
        return self.headers[-1].number
