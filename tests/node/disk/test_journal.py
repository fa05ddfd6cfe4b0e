"""A node reports the jobs that it was running when it died, and does not run them again."""

import threading
import uuid
from pathlib import Path
from typing import Any

import pytest

from mining.node.disk.journal import Journal
from mining.node.engine.grammar import VERSION
from mining.node.protocol.reports import NODE_DIED, FailedReport, PrecommitReport
from mining.node.worker.slots import Busy, Slots
from tests.node.bench import Bench, endless_job, new_job, until


def died_with(bench: Bench, job: dict[str, Any]) -> None:
    """Leave what a process leaves that dies in the middle of a job."""
    (bench.home / "journal" / f"{job['assignment_id']}_{job.get('attempt', 0)}.running").touch()


def deaths(bench: Bench) -> list[tuple[str, int]]:
    return [
        (report.assignment_id, report.attempt)
        for report in bench.reports()
        if isinstance(report, FailedReport) and report.code == NODE_DIED
    ]


def test_what_ended_is_no_death(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with journal.running("a"), pytest.raises(ValueError, match="x"), journal.running("b"):
        raise ValueError("x")
    assert Journal(tmp_path).deaths == []


def test_what_ran_is_known_after_the_process_and_once(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.running").touch()
    second = Journal(tmp_path)
    assert [(death.name, death.others) for death in second.deaths] == [("a", 1), ("b", 1)]
    assert second.has_died("a")
    assert not second.has_died("c")
    third = Journal(tmp_path)
    assert third.deaths == []
    assert third.has_died("a")


def test_a_process_that_ends_by_its_own_will_blames_no_job(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with journal.running("a"):
        journal.let_go()
        with journal.running("b"):
            assert Journal(tmp_path).deaths == []


def test_a_job_that_the_node_died_with_is_told_of_and_not_run_again(bench: Bench) -> None:
    job = new_job()
    died_with(bench, job)
    miner = bench.restarted()
    miner.report_deaths()
    assert deaths(bench) == [(job["assignment_id"], 0)]
    miner.infer(job)  # Redis delivers it again
    assert deaths(bench) == [(job["assignment_id"], 0)] * 2
    assert bench.stream(job) == []
    miner.infer(job | {"attempt": 1, "alone": True})
    assert isinstance(bench.reports()[-1], PrecommitReport)
    miner.close()


def test_a_job_that_was_done_before_the_death_is_reported_as_done(bench: Bench) -> None:
    job = new_job()
    bench.miner.infer(job)
    died_with(bench, job)
    miner = bench.restarted()
    miner.report_deaths()
    assert deaths(bench) == []
    assert sum(isinstance(report, PrecommitReport) for report in bench.reports()) == 2
    miner.close()


def test_a_job_that_waits_was_not_running(bench: Bench) -> None:
    bench.miner.infer(new_job(deadline_at=0.0))
    assert list((bench.home / "journal").iterdir()) == []


def test_nothing_runs_beside_a_job_that_is_to_run_alone(bench: Bench) -> None:
    long = endless_job(bench)
    threads = [
        threading.Thread(target=bench.miner.infer, args=(job,))
        for job in (long, new_job(attempt=1, alone=True))
    ]
    threads[0].start()
    until(lambda: bench.stream(long))
    threads[1].start()
    for thread in threads:
        thread.join()
    done = [r.assignment_id for r in bench.reports() if isinstance(r, PrecommitReport)]
    assert done[-2] == long["assignment_id"]
    assert len(bench.codes()) == 0


def test_who_waits_for_all_slots_goes_first() -> None:
    slots = Slots(2)
    alone, begun = threading.Event(), threading.Event()

    def run_alone() -> None:
        begun.set()
        with slots.all(5):
            alone.set()

    with slots.one(0):
        thread = threading.Thread(target=run_alone)
        thread.start()
        begun.wait()
        until(lambda: slots._waiting_for_all)
        with pytest.raises(Busy), slots.one(0):
            pass
        assert not alone.is_set()
    thread.join()
    assert alone.is_set()
    with slots.one(0), slots.one(0), pytest.raises(Busy), slots.all(0):
        pass
    with slots.one(0):
        pass


@pytest.mark.parametrize("bound", [("llguidance", "0.0.1"), ("xgrammar", VERSION)])
def test_a_grammar_of_another_version_is_refused_by_its_own_code(
    bench: Bench, bound: tuple[str, str]
) -> None:
    library, version = bound
    grammar = {"library": library, "version": version, "lark": 'start: "a"'}
    bench.miner.infer(new_job(assignment_id=str(uuid.uuid4()), grammar=grammar))
    assert bench.codes() == ["grammar_version"]
