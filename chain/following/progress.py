"""How a catch-up gets on: blocks done of those there are, events a second, time left."""

import time
from collections.abc import Callable
from dataclasses import dataclass

REPORT_EVERY_S = 2.0
BEHIND_BLOCKS = 32
"""Who is less behind is not catching up but following."""


@dataclass(frozen=True)
class Position:
    """How far a follower has come: its last block, the chain's, and events since its start."""

    block: int
    head: int
    events: int


class Progress:
    """Says every few seconds how a catch-up gets on, and once that it is done."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self._first: tuple[float, Position] | None = None
        self._said_at = 0.0

    def report(self, position: Position) -> None:
        """Tell where the follower is now."""
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
