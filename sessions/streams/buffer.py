"""A buffer of a Redis Stream's last entries, shared by all its followers in this process."""

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

START = "0-0"
"""The position before a stream's first entry."""
KEPT_ENTRIES = 1_024
KEPT_CHARACTERS = 4 * 1024 * 1024
"""A follower that needs older entries reads them from Redis."""
MAX_ENTRY_CHARACTERS = 1024 * 1024
"""Much more than any piece of an answer. A stream with a larger entry is not read any further."""


class StreamEntry(NamedTuple):
    """An entry of a stream."""

    id: str
    fields: dict[str, str]


class Wakeable(Protocol):
    """An object that is notified of new entries."""

    def wake(self) -> None:
        """Check for new entries."""


@dataclass(eq=False)
class StreamBuffer:
    """The last entries of one stream, and its followers."""

    before: str
    """The position before the first kept entry."""
    entries: list[StreamEntry] = field(default_factory=list)
    followers: set[Wakeable] = field(default_factory=set)
    appended: int = 0
    taken: int = 0
    """How many of the appended entries the fastest follower has taken."""
    held: bool = False
    """Whether reading is paused until a follower takes entries."""
    is_readable: bool = True
    """False if the key holds no stream, or the stream has an entry that is too large."""
    sizes: list[int] = field(default_factory=list)
    """The number of characters in each kept entry. Each entry is measured once."""
    size: int = 0
    """The sum of `sizes`."""

    @property
    def is_full(self) -> bool:
        """Whether no follower has taken the last half of what the buffer can keep."""
        return self.appended - self.taken > KEPT_ENTRIES // 2

    @property
    def last(self) -> str:
        return self.entries[-1].id if self.entries else self.before

    def append(self, found: list[StreamEntry], sizes: list[int]) -> None:
        """Add entries and their sizes in characters, and drop the oldest beyond the bounds."""
        self.entries += found
        self.sizes += sizes
        self.appended += len(found)
        size = self.size + sum(sizes)
        surplus = max(0, len(self.entries) - KEPT_ENTRIES)
        size -= sum(self.sizes[:surplus])
        while size > KEPT_CHARACTERS:
            size -= self.sizes[surplus]
            surplus += 1
        self.size = size
        if surplus > 0:
            self.before = self.entries[surplus - 1].id
            del self.entries[:surplus], self.sizes[:surplus]
        self.wake()

    def wake(self) -> None:
        for follower in self.followers:
            follower.wake()

    def after(self, position: str) -> list[StreamEntry] | None:
        """Return the entries after a position, or None if some are no longer kept."""
        if position == self.last:
            return []
        place = order(position)
        if place < order(self.before):
            return None
        at = bisect_right(self.entries, place, key=lambda entry: order(entry.id))
        return self.entries[at:]


def characters_in(fields: dict[str, str]) -> int:
    """Return the number of characters in an entry's names and values."""
    return sum(map(len, fields)) + sum(map(len, fields.values()))


def order(position: str) -> tuple[int, int]:
    """Return a sort key for a position in a stream."""
    milliseconds, _, number = position.partition("-")
    return int(milliseconds), int(number or 0)
