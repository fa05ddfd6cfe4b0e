"""The state machine of a task.

Each function runs in one transaction and locks the row. It records the time of the new stage and,
on commit, announces the change. It is idempotent: a stage that the task has already passed changes
nothing. It returns whether it changed anything, and updates the instance that it is given.

`is_locked=True` states that the caller's transaction has created or locked the row and that the
instance is up to date. The row is then not read again.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from chain.protocol.addresses import checksummed
from sessions.errors import IllegalTaskTransition
from sessions.models import Task, TaskStatus
from sessions.results import TaskResult
from sessions.streams import feeds, task_stream
from sessions.webhooks import outbox as webhooks

TRANSITIONS: dict[TaskStatus, frozenset[TaskStatus]] = {
    TaskStatus.QUEUED: frozenset({TaskStatus.ASSIGNED, TaskStatus.ENDED, TaskStatus.FAILED}),
    TaskStatus.ASSIGNED: frozenset(
        # A precommit implies an ack.
        {TaskStatus.ACKED, TaskStatus.PRECOMMITTED, TaskStatus.ENDED, TaskStatus.FAILED}
    ),
    TaskStatus.ACKED: frozenset({TaskStatus.PRECOMMITTED, TaskStatus.ENDED, TaskStatus.FAILED}),
    TaskStatus.PRECOMMITTED: frozenset({TaskStatus.COMMITTED, TaskStatus.ENDED, TaskStatus.FAILED}),
    TaskStatus.COMMITTED: frozenset({TaskStatus.VALIDATED, TaskStatus.ENDED, TaskStatus.FAILED}),
    TaskStatus.VALIDATED: frozenset({TaskStatus.ENDED, TaskStatus.FAILED}),
    TaskStatus.ENDED: frozenset(),
    TaskStatus.FAILED: frozenset(),
}

TIMESTAMPS: dict[TaskStatus, str] = {
    TaskStatus.QUEUED: "created_at",
    TaskStatus.ASSIGNED: "assigned_at",
    TaskStatus.ACKED: "acked_at",
    TaskStatus.PRECOMMITTED: "precommitted_at",
    TaskStatus.COMMITTED: "committed_at",
    TaskStatus.VALIDATED: "validated_at",
    TaskStatus.ENDED: "ended_at",
    TaskStatus.FAILED: "ended_at",
}

_ORDER = list(TaskStatus)
_LARGEST_COUNT = 2**31 - 1


def mark_assigned(
    task: Task, miners: Sequence[str], at: datetime | None = None, *, is_locked: bool = False
) -> bool:
    """Record that miners have the job."""
    return _advance(task, TaskStatus.ASSIGNED, at, miners=miners, is_locked=is_locked)


def mark_acked(
    task: Task, miner: str, at: datetime | None = None, *, is_locked: bool = False
) -> bool:
    """Record that the first miner works on the task."""
    return _advance(task, TaskStatus.ACKED, at, miners=[miner], is_locked=is_locked)


def mark_first_token(task: Task, at: datetime | None = None) -> bool:
    """Record the first piece of the answer. It is shown as a stage, but the status stays."""
    at = at or timezone.now()
    changed = Task.objects.filter(pk=task.pk, first_token_at=None).update(first_token_at=at)
    if changed:
        task.first_token_at = at
    return bool(changed)


def mark_precommitted(
    task: Task, miners: Sequence[str], at: datetime | None = None, *, is_locked: bool = False
) -> bool:
    """Record the end of the precommit phase."""
    return _advance(task, TaskStatus.PRECOMMITTED, at, miners=miners, is_locked=is_locked)


def mark_committed(
    task: Task, miners: Sequence[str], at: datetime | None = None, *, is_locked: bool = False
) -> bool:
    """Record the end of the commit phase."""
    return _advance(task, TaskStatus.COMMITTED, at, miners=miners, is_locked=is_locked)


def mark_validated(
    task: Task,
    results: Sequence[TaskResult],
    at: datetime | None = None,
    *,
    is_locked: bool = False,
) -> bool:
    """Record that every revealed result is judged, and announce those that count, best first."""
    longest = max((result.completion_tokens for result in results), default=0)
    task.answer_tokens = min(longest, _LARGEST_COUNT)
    return _advance(
        task,
        TaskStatus.VALIDATED,
        at,
        miners=[result.address for result in results],
        announce=lambda: task_stream.announce_results(task, results),
        fields=("answer_tokens",),
        is_locked=is_locked,
    )


def mark_ended(
    task: Task, code: str = "settled", message: str = "", at: datetime | None = None
) -> bool:
    """Record that the chain has settled the task.

    `code` is `settled`, or `refunded` if no miner was paid.
    """
    return _advance(task, TaskStatus.ENDED, at, code=code, message=message)


def mark_failed(task: Task, code: str, message: str, at: datetime | None = None) -> bool:
    """Record that the task will have no result, and why. The chain refunds what it reserved."""
    return _advance(
        task,
        TaskStatus.FAILED,
        at,
        code=code,
        message=message,
        announce=lambda: task_stream.announce_failure(task, code, message),
    )


def _advance(
    task: Task,
    to: TaskStatus,
    at: datetime | None,
    *,
    miners: Sequence[str] = (),
    code: str = "",
    message: str = "",
    announce: Callable[[], None] | None = None,
    fields: Sequence[str] = (),
    is_locked: bool = False,
) -> bool:
    # No savepoint: no caller catches an error of this block and continues its transaction.
    with transaction.atomic(savepoint=False):
        row = task if is_locked else Task.objects.select_for_update().get(pk=task.pk)
        current = TaskStatus(row.status)
        changed = to in TRANSITIONS[current]
        if not changed and not current.is_final and _ORDER.index(to) > _ORDER.index(current):
            raise IllegalTaskTransition(f"{task}: from {current.value} to {to.value}")
        if changed:
            row.status = to
            setattr(row, TIMESTAMPS[to], at or timezone.now())
            changes = ["status", TIMESTAMPS[to], *fields]
            for name in fields:
                setattr(row, name, getattr(task, name))
            if to.is_final:
                row.outcome_code, row.outcome_message = code, message
                changes += ["outcome_code", "outcome_message"]
            row.save(update_fields=changes)
            if to.is_final:
                webhooks.record(row)
            # Announce results before the stage after which followers expect no more results.
            if announce is not None:
                transaction.on_commit(announce, robust=True)
            announce_stage(row, miners)
    for name in ("status", "outcome_code", "outcome_message", TIMESTAMPS[to], *fields):
        setattr(task, name, getattr(row, name))
    return changed


def announce_stage(
    task: Task, miners: Sequence[str] = (), *, passed: Sequence[TaskStatus] = ()
) -> None:
    """On commit, announce a task's stage to its followers and on the network's feed.

    Args:
        miners: the miners that brought the task to this stage.
        passed: earlier stages that were not announced yet.
    """
    status = TaskStatus(task.status)
    additions = [news for stage in passed for news in _news(task, stage)]
    additions += _news(task, status, miners)
    # Robust: if Redis is down, the change is committed nevertheless, and the database has it.
    transaction.on_commit(lambda: task_stream.write(*additions), robust=True)


def _news(task: Task, status: TaskStatus, miners: Sequence[str] = ()) -> list[task_stream.Addition]:
    event: dict[str, Any] = {
        "type": "task",
        "session_id": task.session_id,
        "task_id": task.task_id,
        "status": status.value,
    }
    if miners:
        event["miners"] = [checksummed(miner) for miner in miners]
    return [task_stream.stage(task, status), *feeds.additions(event)]
