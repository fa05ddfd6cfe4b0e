"""A refused submission ends its task, even if wake-ups and the first try were lost."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chain.isolation import Isolation
from chain.models import Operation, OperationStatus
from chain.operations import OperationKind
from chain.sending import journal
from sessions.intake import acceptance
from sessions.intake.reservations import promised_to
from sessions.models import Task, TaskStatus
from sessions.stages import refusals
from tests.sessions.factories import make_request, make_session

pytestmark = pytest.mark.django_db(transaction=True)


def refused() -> Task:
    """A task whose submission the chain has refused; the sender died right after it knew."""
    task = acceptance.accept(make_request(), session=make_session(), api_key=None)
    Operation.objects.filter(kind=OperationKind.SUBMIT_TASK, payload__task_id=task.task_id).update(
        status=OperationStatus.FAILED, error="InsufficientSessionBalance", failure_told=False
    )
    return task


def test_a_refused_submission_fails_the_task_and_frees_its_money() -> None:
    task = refused()
    assert promised_to(task.session_id).wei > 0
    refusals.take_note(Isolation("test"))
    task.refresh_from_db()
    assert (task.status, task.outcome_code) == (TaskStatus.FAILED, "submission_refused")
    assert "InsufficientSessionBalance" in task.outcome_message
    assert promised_to(task.session_id).wei == 0
    assert not journal.untold_failures().exists()


def test_a_failure_whose_consequence_fails_is_not_forgotten_and_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = refused(), refused()
    right = refusals.mark_failed

    def fail_once(task: Task, *words: Any) -> bool:
        if task.pk == first.pk:
            raise RuntimeError("a bug")
        return right(task, *words)

    with monkeypatch.context() as broken:
        broken.setattr(refusals, "mark_failed", fail_once)
        refusals.take_note(Isolation("test"))
    assert Task.objects.get(pk=second.pk).status == TaskStatus.FAILED
    assert Task.objects.get(pk=first.pk).status == TaskStatus.QUEUED
    refusals.take_note(Isolation("test"))
    assert Task.objects.get(pk=first.pk).status == TaskStatus.FAILED


def test_a_submission_that_a_fork_gives_another_chance_fails_nothing() -> None:
    task = refused()
    [operation] = journal.untold_failures()
    Operation.objects.update(status=OperationStatus.SENT, failure_told=True)
    refusals._take_note(operation)
    assert Task.objects.get(pk=task.pk).status == TaskStatus.QUEUED


def test_failures_of_other_kinds_are_taken_note_of_once() -> None:
    task = refused()
    Operation.objects.update(kind=OperationKind.END_TASK)
    refusals.take_note(Isolation("test"))
    assert not journal.untold_failures().exists()
    assert Task.objects.get(pk=task.pk).status == TaskStatus.QUEUED


def test_looking_for_failures_costs_one_query_by_index() -> None:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        refusals.take_note(Isolation("test"))
    assert len(queries) == 1
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        cursor.execute("EXPLAIN " + queries[0]["sql"])
        plan = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute("RESET enable_seqscan")
    assert "operation_failure_untold" in plan
