"""A task passes through its stages once and in order, and announces them."""

import itertools
from collections.abc import Callable

import pytest
import redis
from django.utils import timezone

from sessions.errors import IllegalTaskTransition
from sessions.models import Task, TaskStatus
from sessions.results import TaskResult
from sessions.stages import task_states
from sessions.stages.task_states import TIMESTAMPS, TRANSITIONS
from sessions.streams import task_stream
from tests.sessions.factories import make_task

pytestmark = pytest.mark.django_db(transaction=True)

MINER = "0x" + "b2" * 20
RESULT = TaskResult(MINER, "text", "stop", 3, 4)
MARK: dict[TaskStatus, Callable[[Task], bool]] = {
    TaskStatus.ASSIGNED: lambda task: task_states.mark_assigned(task, [MINER]),
    TaskStatus.ACKED: lambda task: task_states.mark_acked(task, MINER),
    TaskStatus.PRECOMMITTED: lambda task: task_states.mark_precommitted(task, [MINER]),
    TaskStatus.COMMITTED: lambda task: task_states.mark_committed(task, [MINER]),
    TaskStatus.VALIDATED: lambda task: task_states.mark_validated(task, [RESULT]),
    TaskStatus.ENDED: lambda task: task_states.mark_ended(task),
    TaskStatus.FAILED: lambda task: task_states.mark_failed(task, "code", "message"),
}
ORDER = list(TaskStatus)


@pytest.mark.parametrize(("current", "to"), itertools.product(TaskStatus, MARK))
def test_only_the_table_moves_a_task(current: TaskStatus, to: TaskStatus) -> None:
    task = make_task(status=current)
    skips_ahead = (
        to not in TRANSITIONS[current]
        and not current.is_final
        and ORDER.index(to) > ORDER.index(current)
    )
    if skips_ahead:
        with pytest.raises(IllegalTaskTransition):
            MARK[to](task)
        expected = current
    else:
        assert MARK[to](task) is (to in TRANSITIONS[current])
        expected = to if to in TRANSITIONS[current] else current
    assert Task.objects.get(pk=task.pk).status == expected


def test_each_stage_records_its_time_and_a_repetition_keeps_it() -> None:
    task = make_task()
    for status in ORDER[1:-1]:
        at = timezone.now()
        assert MARK[status](task)
        row = Task.objects.get(pk=task.pk)
        assert getattr(row, TIMESTAMPS[status]) >= at
        assert not MARK[status](task)
        assert getattr(Task.objects.get(pk=task.pk), TIMESTAMPS[status]) == getattr(
            row, TIMESTAMPS[status]
        )
    assert task.outcome_code == "settled"


def test_a_stale_instance_learns_what_the_row_says() -> None:
    task = make_task()
    stale = Task.objects.get(pk=task.pk)
    task_states.mark_failed(task, "gone", "no miner is left")
    assert not task_states.mark_assigned(stale, [MINER])
    assert (stale.status, stale.outcome_code) == (TaskStatus.FAILED, "gone")


def test_the_first_token_is_noted_once() -> None:
    task = make_task()
    assert task_states.mark_first_token(task)
    assert not task_states.mark_first_token(Task.objects.get(pk=task.pk))


def test_followers_hear_of_results_before_the_stage_and_of_failures_with_their_reason(
    redis_url: str,
) -> None:
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    task = make_task(status=TaskStatus.COMMITTED)
    task_states.mark_validated(task, [RESULT])
    task_states.mark_failed(task, "code", "message")
    key = task_stream.task_stream_key(task.session_id, task.task_id)
    entries = [entry for _, entry in client.xrange(key)]
    assert [entry["type"] for entry in entries] == ["results", "stage", "failed", "stage"]
    assert (entries[2]["code"], entries[2]["message"]) == ("code", "message")
    assert 0 < client.ttl(key) <= 2 * task.timeout_s + task_stream.KEPT_S
