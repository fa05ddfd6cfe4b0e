"""Consequences of operations that the chain has finally refused.

The failed operation's own row says that its consequences are pending (`journal.untold_failures`).
So neither a crash nor a lost notification can leave a task open with its money reserved.
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
    """Process every failed operation whose consequences are pending."""
    for operation in journal.untold_failures():
        key = "refusal", operation.pk
        isolation.attempt(key, f"the failure of {operation}", partial(_take_note, operation))


@transaction.atomic
def _take_note(operation: Operation) -> None:
    # A fork may have made the operation pending again meanwhile.
    if not journal.untold_failures().select_for_update().filter(pk=operation.pk).exists():
        return
    if operation.kind == OperationKind.SUBMIT_TASK:
        _fail_task(operation)
    journal.mark_told(operation)


def _fail_task(operation: Operation) -> None:
    """Fail a task whose submission the chain refused, and release its reservation."""
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
