"""The free balance and the remaining tasks of a session.

A router accepts tasks before the chain has them. So it subtracts the tasks that it has accepted and
that the mirror does not show yet.
"""

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import BigIntegerField, Count, DateTimeField, Q, QuerySet, Sum
from django.utils import timezone

from chain.postgres.prepared import Parameter, Prepared, totals
from sessions.errors import InsufficientBalance, TooManyTasks
from sessions.mirror.confirmation import unconfirmed_deposits_wei
from sessions.models import Session, Task

SUBMISSION_LANDS_WITHIN = timedelta(minutes=10)


def _promised() -> "QuerySet[Task, tuple[int | None, int]]":
    since, session_id = (
        Parameter("since", DateTimeField()),
        Parameter("session_id", BigIntegerField()),
    )
    tasks = (
        Task.objects.filter(session_id=session_id)
        .filter(Q(ended_at=None) | Q(ended_at__gt=since))
        .unseen_on_chain()
    )
    return totals(tasks, wei=Sum("reserve_wei"), tasks=Count("pk", filter=Q(reserve_wei__gt=0)))


_PROMISED = Prepared(_promised)


@dataclass(frozen=True)
class Promised:
    """The accepted tasks of a session that the mirror does not show yet: their price and number."""

    wei: int
    tasks: int


def promised_to(session_id: int) -> Promised:
    """Return what this router has reserved of a session and the mirror does not show yet."""
    # The submission of a failed task may still be under way, so the task counts for a while. If it
    # has not landed long after, it was refused or lost, and holds no money any more.
    since = timezone.now() - SUBMISSION_LANDS_WITHIN
    [(wei, tasks)] = _PROMISED.rows(session_id=session_id, since=since)
    return Promised(int(wei or 0), tasks)


def require_task_left(session: Session, promised: Promised) -> None:
    """Raise TooManyTasks if the session may run no further task."""
    if session.max_task_execution_count == 0:
        return
    run = session.task_count + promised.tasks
    if run >= session.max_task_execution_count:
        raise TooManyTasks(
            f"session {session.session_id} may run {session.max_task_execution_count} tasks and has"
            f" run {run}",
            field="session_id",
            remedy="create a new session with a larger maxTaskExecutionCount",
        )


def require_balance(session: Session, needed_wei: int, promised: Promised) -> None:
    """Raise InsufficientBalance if the session's free balance is smaller than `needed_wei`."""
    # A fork may revert an unconfirmed deposit, so it does not pay for miners' work.
    unconfirmed_wei = unconfirmed_deposits_wei(session.session_id)
    available_wei = session.balance_wei - unconfirmed_wei - promised.wei
    if needed_wei > available_wei:
        raise InsufficientBalance.of(
            session.session_id, needed_wei, max(available_wei, 0), unconfirmed_wei
        )
