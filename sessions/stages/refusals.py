"""What follows from operations that the chain has refused for good.

The failed operation itself says that something is still to be done (`journal.untold_failures`), so
no crash and no lost wake-up leaves a task open with its money and its place.
"""

from functools import partial

from django.db import transaction

from chain.isolation import Isolation
from chain.models import Operation
from chain.operations import OperationKind
from chain.sending import journal
from sessions.models import Task
from sessions.stages.task_states import mark_failed


def take_note(isolation: Isolation) -> None:
    """Do what follows from every failure that nobody has taken note of."""
    for operation in journal.untold_failures():
        key = "refusal", operation.pk
        isolation.attempt(key, f"the failure of {operation}", partial(_take_note, operation))


@transaction.atomic
def _take_note(operation: Operation) -> None:
    # A fork may have given it another chance meanwhile.
    if not journal.untold_failures().select_for_update().filter(pk=operation.pk).exists():
        return
    if operation.kind == OperationKind.SUBMIT_TASK:
        _fail_task(operation)
    journal.mark_told(operation)


def _fail_task(operation: Operation) -> None:
    """Fail a task whose submission the chain refused; nothing is reserved for it any more."""
    payload = operation.payload
    task = (
        Task.objects.select_for_update()
        .filter(session_id=payload["session_id"], task_id=payload["task_id"])
        .first()
    )
    if task is None:
        return
    mark_failed(task, "submission_refused", f"the chain refused the task: {operation.error}")
    Task.objects.filter(pk=task.pk).update(reserve_wei=0)
