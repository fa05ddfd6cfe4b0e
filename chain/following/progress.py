"""Progress of a catch-up: blocks done and in total, events per second, time left."""

import time
from collections.abc import Callable
from dataclasses import dataclass

REPORT_EVERY_S = 2.0
BEHIND_BLOCKS = 32
"""A follower that is fewer blocks behind the head is not catching up."""


@dataclass(frozen=True)
class Position:
    """A follower's last block, the chain's last block, and the events since the process started."""

    block: int
    head: int
    events: int


class Progress:
    """Reports the progress of a catch-up every few seconds, and its end once."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self._first: tuple[float, Position] | None = None
        self._said_at = 0.0

    def report(self, position: Position) -> None:
        """Take note of the follower's position, and report it if it is time."""
        now = time.monotonic()
        behind = position.head - position.block
        if self._first is None:
            if behind > BEHIND_BLOCKS:
                self._first, self._said_at = (now, position), now
            return
        began_at, first = self._first
        seconds = max(now - began_at, 1e-6)
        blocks, events = position.block - first.block, position.events - first.events
        if behind <= BEHIND_BLOCKS:
            self._say(
                f"caught up at block {position.block:,}: {blocks:,} blocks and {events:,} events"
                f" in {seconds:.0f} s ({events / seconds:,.0f} events/s)"
            )
            self._first = None
        elif now - self._said_at >= REPORT_EVERY_S:
            self._said_at = now
            left_s = behind * seconds / max(blocks, 1)
            self._say(
                f"block {position.block:,} of {position.head:,}"
                f" ({100 * position.block / position.head:.0f} %), {events:,} events,"
                f" {events / seconds:,.0f} events/s, {blocks / seconds:,.0f} blocks/s,"
                f" about {left_s:,.0f} s left"
            )
