"""The stored events, for readers that react to them at their own pace.

Sync stores events and wakes the readers. It never waits for one. Each reader has a durable cursor
(`NewsCursor`), and a fork moves the cursors back together with the mirror. A reader sees each event
at least once, so its reactions have to be idempotent.
"""

from collections.abc import Collection
from dataclasses import dataclass

from chain.mirror import blocks
from chain.mirror.records import EventRecord
from chain.models import Event, NewsCursor

EVENTS_AT_ONCE = 1_000


@dataclass(frozen=True)
class News:
    """Events that a reader has not reacted to yet, and the reader's place after them."""

    events: list[EventRecord]
    before: NewsCursor
    last_block: int

    @property
    def is_empty(self) -> bool:
        """Whether there are neither events nor new blocks to move the cursor over."""
        return not self.events and self.last_block == self.before.block


def subscribe(reader: str) -> None:
    """Create the cursor of a new reader after all stored events. An existing cursor is kept."""
    NewsCursor.objects.get_or_create(reader=reader, defaults={"block": _last_block()})


def unread(reader: str, names: Collection[str]) -> News:
    """Return the next events with these names, in the chain's order, and only whole blocks.

    Args:
        names: the names of the events that the reader reacts to. Other events are skipped.
    """
    # The cursor has to be read first: then a fork in between only makes `mark_read` fail.
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
    """Move the reader's cursor past these events.

    Return False if a fork has moved the cursor in the meantime. The reader then reads again.
    """
    place = news.before
    moved = NewsCursor.objects.filter(pk=place.reader, block=place.block, forks=place.forks)
    return bool(moved.update(block=news.last_block))


def _last_block() -> int:
    last = blocks.cursor()
    return -1 if last is None else last.number
