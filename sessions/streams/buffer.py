"""The last entries of one Redis Stream, kept once for all who follow it in this process."""

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

START = "0-0"
"""The position before a stream's first entry."""
KEPT_ENTRIES = 1_024
KEPT_CHARACTERS = 4 * 1024 * 1024
"""A follower that needs what is no longer kept reads it from Redis."""
MAX_ENTRY_CHARACTERS = 1024 * 1024
"""No piece of an answer comes near it. A stream with a larger entry is not read any further."""


class StreamEntry(NamedTuple):
    """An entry of a stream."""

    id: str
    fields: dict[str, str]


class Wakeable(Protocol):
    """Whoever is to be woken when there is something new."""

    def wake(self) -> None:
        """Look again."""


@dataclass(eq=False)
class StreamBuffer:
    """The last entries of one stream, and who follows it."""

    before: str
    """The position before the first entry that is kept."""
    entries: list[StreamEntry] = field(default_factory=list)
    followers: set[Wakeable] = field(default_factory=set)
    appended: int = 0
    taken: int = 0
    """How many of the appended entries the fastest follower has."""
    held: bool = False
    """Whether reading waits for somebody who takes what is here."""
    is_readable: bool = True
    """False for a key that is no stream, or none that anybody can want."""
    sizes: list[int] = field(default_factory=list)
    """The characters of each entry that is kept. Each entry is measured once."""
    size: int = 0
    """The sum of `sizes`."""

    @property
    def is_full(self) -> bool:
        """Whether nobody has taken most of what is here."""
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
        """The entries behind a position; None if they are no longer all here."""
        if position == self.last:
            return []
        place = order(position)
        if place < order(self.before):
            return None
        at = bisect_right(self.entries, place, key=lambda entry: order(entry.id))
        return self.entries[at:]


def characters_in(fields: dict[str, str]) -> int:
    """The characters of an entry's names and values."""
    return sum(map(len, fields)) + sum(map(len, fields.values()))


def order(position: str) -> tuple[int, int]:
    """Positions of a stream compare as this does."""
    milliseconds, _, number = position.partition("-")
    return int(milliseconds), int(number or 0)
