"""Catching up logs its progress. Following does not."""

import pytest

from chain.following import progress
from chain.following.progress import Position, Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock in seconds, which the test sets."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_catch_up_tells_rate_and_time_left_and_its_end(clock: list[float]) -> None:
    said: list[str] = []
    telling = Progress(said.append)
    telling.report(Position(1_000, 11_000, 0))
    assert said == []
    clock[0] += 2
    telling.report(Position(2_000, 11_000, 5_000))
    assert said == [
        "block 2,000 of 11,000 (18 %), 5,000 events, 2,500 events/s, 500 blocks/s, about 18 s left"
    ]
    clock[0] += 1
    telling.report(Position(3_000, 11_000, 6_000))
    assert len(said) == 1  # it does not say it more often
    clock[0] += 17
    telling.report(Position(10_990, 11_000, 50_000))
    assert said[1:] == [
        "caught up at block 10,990: 9,990 blocks and 50,000 events in 20 s (2,500 events/s)"
    ]


def test_who_follows_the_head_is_silent(clock: list[float]) -> None:
    said: list[str] = []
    telling = Progress(said.append)
    for block in range(100):
        clock[0] += 1
        telling.report(Position(block, block + 1, block))
    assert said == []
