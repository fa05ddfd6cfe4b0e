"""A precommit is reported again until the router has it, since Redis may lose it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mining.node.disk.reminders import FIRST_S, FOR_S, Reminders
from mining.node.disk.stash import Stash
from mining.node.protocol.reports import PrecommitReport
from tests.node.bench import Bench, new_job
from tests.node.disk.test_stash import RESULT

Clock = Callable[[float], None]


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Lets seconds pass."""
    now = time.monotonic()

    def let(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now)
    return let


def precommits(bench: Bench) -> list[PrecommitReport]:
    return [report for report in bench.reports() if isinstance(report, PrecommitReport)]


def test_a_precommit_that_redis_has_lost_is_reported_again_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.miner.infer(new_job())
    [said] = precommits(bench)
    bench.redis.flushall()
    bench.miner.remind()
    assert precommits(bench) == [], "it may yet be read"
    later = time.monotonic() + FIRST_S
    monkeypatch.setattr(time, "monotonic", lambda: later)
    bench.miner.remind()
    assert precommits(bench) == [said]


def test_a_process_that_starts_reports_what_it_may_have_said_to_nobody(bench: Bench) -> None:
    bench.miner.infer(new_job())
    [said] = precommits(bench)
    bench.redis.flushall()
    bench.miner.close()
    bench.miner = bench.restarted()
    bench.miner.remind()
    assert precommits(bench) == [said]


@pytest.mark.parametrize("word", ["reveal", "cancel"])
def test_what_the_router_has_answered_to_is_said_no_more(bench: Bench, word: str) -> None:
    job: dict[str, Any] = new_job()
    bench.miner.infer(job)
    getattr(bench.miner, word)(job["assignment_id"])
    bench.redis.flushall()
    bench.miner.close()
    bench.miner = bench.restarted()
    bench.miner.remind()
    assert precommits(bench) == []


def test_pauses_grow_and_come_to_an_end(tmp_path: Path, passes: Clock) -> None:
    reminders = Reminders(Stash(tmp_path))
    reminders.reported(RESULT.assignment_id)
    said = []
    for second in range(int(3 * FOR_S)):
        said += [second] * len(reminders.due())
        passes(1)
    assert said[:3] == [10, 20, 40]
    assert 5 < len(said) < 12


def test_what_is_old_is_not_said_again(tmp_path: Path) -> None:
    stash = Stash(tmp_path)
    stash.put(RESULT)
    assert stash.unanswered(FOR_S) == [RESULT.assignment_id]
    assert stash.unanswered(-1) == []
