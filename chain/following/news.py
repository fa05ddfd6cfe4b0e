"""The stored events, for readers that react to them at their own pace.

Sync stores events and wakes the readers. It never waits for one. Each reader has a durable cursor
(`NewsCursor`), and a fork takes the cursors back together with the mirror. A reader sees each event
at least once, so what it does has to be idempotent.
"""

from collections.abc import Collection
from dataclasses import dataclass

from chain.mirror import blocks
from chain.mirror.records import EventRecord
from chain.models import Event, NewsCursor

EVENTS_AT_ONCE = 1_000


@dataclass(frozen=True)
class News:
    """Events that a reader has not reacted to, and the place behind them."""

    events: list[EventRecord]
    before: NewsCursor
    last_block: int

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to react to and no place to move on to."""
        return not self.events and self.last_block == self.before.block


def subscribe(reader: str) -> None:
    """Give a new reader its place: behind all that is stored. One that has a place keeps it."""
    NewsCursor.objects.get_or_create(reader=reader, defaults={"block": _last_block()})


def unread(reader: str, names: Collection[str]) -> News:
    """The next events with these names, in the chain's order; whole blocks only.

    Args:
        names: of the events that the reader reacts to; it passes over all others.
    """
    # Read in this order: a fork in between only makes `mark_read` fail.
    place = NewsCursor.objects.get(pk=reader)
    last_block = max(_last_block(), place.block)
    found = Event.objects.filter(
        block_id__gt=place.block, block_id__lte=last_block, name__in=names
    ).order_by("block_id", "log_index")
    many = found.values_list("block_id", flat=True)[EVENTS_AT_ONCE - 1 : EVENTS_AT_ONCE]
    for last_block in many:
        found = found.filter(block_id__lte=last_block)
    return News(list(blocks.stored_events(found)), place, last_block)


def mark_read(news: News) -> bool:
    """Put the reader behind these events. False where a fork came in between: read again then."""
    place = news.before
    moved = NewsCursor.objects.filter(pk=place.reader, block=place.block, forks=place.forks)
    return bool(moved.update(block=news.last_block))


def _last_block() -> int:
    last = blocks.cursor()
    return -1 if last is None else last.number
