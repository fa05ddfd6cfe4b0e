"""Each reader of stored events sees all of them, in spite of deaths and forks."""

from typing import Any

import pytest
from django.utils import timezone

from chain.following import news
from chain.mirror import blocks
from chain.models import Block, Event, NewsCursor

pytestmark = pytest.mark.django_db

READER = "test"
NAMES = {"Noted"}


def block(number: int, *names: str, fork: str = "a") -> Block:
    """Store a block with events of these names."""
    made = Block.objects.create(
        number=number,
        hash=f"0x{fork}{number}",
        parent_hash=f"0x{fork}{number - 1}",
        timestamp=timezone.now(),
    )
    for index, name in enumerate(names):
        Event.objects.create(
            block=made,
            block_hash=made.hash,
            log_index=index,
            tx_hash="0x00",
            contract="Test",
            name=name,
            args={"taskId": index, "fork": fork},
            timestamp=made.timestamp,
        )
    return made


def read() -> list[tuple[int, Any]]:
    """Read the next events, and move the cursor."""
    found = news.unread(READER, NAMES)
    assert news.mark_read(found)
    return [(event.block_number, event.args["fork"]) for event in found.events]


def test_a_reader_begins_behind_what_is_stored_and_goes_on_from_its_place() -> None:
    block(1, "Noted")
    news.subscribe(READER)
    assert read() == []
    block(2, "Noted", "Other")
    news.subscribe(READER)  # as after a start
    assert read() == [(2, "a")]
    assert news.unread(READER, NAMES).is_empty


def test_what_was_not_marked_comes_again() -> None:
    news.subscribe(READER)
    block(1, "Noted")
    assert len(news.unread(READER, NAMES).events) == 1
    assert read() == [(1, "a")]


def test_blocks_are_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news, "EVENTS_AT_ONCE", 2)
    news.subscribe(READER)
    block(1, "Noted")
    block(2, "Noted", "Noted", "Noted")
    block(3, "Noted")
    assert [number for number, _ in read()] == [1, 2, 2, 2]
    assert [number for number, _ in read()] == [3]


def test_a_fork_is_read_again_from_where_it_begins() -> None:
    news.subscribe(READER)
    block(1, "Noted")
    last = block(2, "Noted")
    read()
    blocks.go_back(last, 2)
    block(2, "Noted", fork="b")
    assert read() == [(2, "b")]


def test_a_fork_between_reading_and_moving_on_loses_nothing() -> None:
    """`mark_read` finds the fork although the cursor has stayed below it all the time."""
    news.subscribe(READER)
    block(1)
    last = block(2, "Noted")
    found = news.unread(READER, NAMES)
    blocks.go_back(last, 2)
    block(2, "Noted", fork="b")
    assert not news.mark_read(found)
    assert read() == [(2, "b")]


def test_a_mirror_that_is_fetched_anew_is_read_anew() -> None:
    block(1, "Noted")
    news.subscribe(READER)
    blocks.forget()
    assert NewsCursor.objects.get().block == -1
    block(1, "Noted", fork="b")
    assert read() == [(1, "b")]
