"""Results that remain when a task's stream is lost."""

import pytest
from django.utils import timezone

from chain import storage
from chain.protocol.addresses import checksummed
from chain.protocol.digests import canonical_json
from mining.assignment.leases import lease
from mining.judging.kept_results import kept_results
from mining.models import AssignmentStatus
from sessions.models import Task
from tests.mining.conftest import make_account, make_task

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("router_redis", "model"),
]


def revealed(redundancy: int = 2) -> Task:
    """Create a task whose miners have revealed "answer 0", "answer 1" and so on."""
    task = make_task(redundancy=redundancy)
    miners = [str(make_account().address) for _ in range(redundancy)]
    lease(task, dict(enumerate(miners)), timezone.now(), live=0)
    for place, assignment in enumerate(task.assignments.order_by("position")):
        content = canonical_json(
            {
                "result": f"answer {place}",
                "session_id": task.session_id,
                "task_id": task.task_id,
                "task_digest": task.task_digest,
                "miner": miners[place],
                "finish_reason": "stop",
                "token_ids": [1, 2, 3],
            }
        )
        assignment.status = AssignmentStatus.REVEALED
        assignment.content_cid = storage.put(content)
        assignment.commit_data = storage.address(assignment.content_cid)
        assignment.save()
    return task


def kept(task: Task) -> list[tuple[str, bool]]:
    results = kept_results(task.session_id, task.task_id)
    return [(result.text, result.is_judged) for result in results]


def test_what_was_revealed_is_there_before_it_is_judged() -> None:
    task = revealed()
    assert kept(task) == [("answer 0", False), ("answer 1", False)]
    [first, _] = kept_results(task.session_id, task.task_id)
    assert first.address == checksummed(task.assignments.get(position=0).miner)
    assert (first.completion_tokens, first.finish_reason) == (3, "stop")


def test_once_judged_only_what_counts_is_there_the_best_first() -> None:
    task = revealed(redundancy=3)
    for place, worth in enumerate((9_000, 0, 10_000)):
        task.assignments.filter(position=place).update(
            status=AssignmentStatus.JUDGED, accuracy_bps=worth
        )
    assert kept(task) == [("answer 2", True), ("answer 0", True)]


def test_of_a_task_without_a_reveal_or_without_a_row_nothing_is_kept() -> None:
    task = make_task()
    assert kept(task) == []
    assert kept_results(task.session_id, task.task_id + 1) == []
