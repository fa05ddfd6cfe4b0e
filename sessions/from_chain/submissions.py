"""The way of direct tasks, which clients submit on chain, into the queue.

A submission has a row from the moment that its event is read until its task is queued, so that a
crash loses nothing. Its content may be slow or missing. The router tries to read it with growing
pauses until the task's time in the queue ends. Then the task fails, and the chain refunds it. No
transaction is open while a content is read.
"""

import logging
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import (
    BooleanField,
    Exists,
    ExpressionWrapper,
    OuterRef,
    Q,
    QuerySet,
    Window,
)
from django.db.models.functions import RowNumber
from django.utils import timezone

from chain.postgres import wakeup
from sessions import ports
from sessions.from_chain.direct_tasks import problem_of, task_of
from sessions.intake.acceptance import TASK_QUEUED
from sessions.intake.prompts import PromptMissing, PromptUnreachable
from sessions.intake.task_numbers import LANE_SIZE
from sessions.mirror.confirmation import unconfirmed_submissions
from sessions.models import (
    DirectSubmission,
    OnChainTask,
    Session,
    SessionRouter,
    Task,
    TaskOrigin,
    numbered,
)
from sessions.stages.task_states import announce_stage, mark_failed

FIRST_CONTENT_WITHIN_S = 5.0
CONTENT_WITHIN_S = 30.0
"""The time limit of the second and later attempts."""
FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 15.0
SESSION_SHARE = 4
"""How many first attempts of a session run at once, and also how many of its later attempts."""
WAITING_AT_ONCE = 500
"""The most submissions that `due` returns."""

Numbers = tuple[int, int]
"""The numbers of a session and of a task in it."""

logger = logging.getLogger(__name__)


def note(submitted: Collection[Numbers]) -> None:
    """Record that clients have submitted these tasks. Idempotent."""
    direct = [numbers for numbers in submitted if numbers[1] < LANE_SIZE]
    if not direct:
        return
    rows = Task.objects.filter(numbered(direct), origin=TaskOrigin.CHAIN)
    taken = set(rows.values_list("session_id", "task_id"))
    DirectSubmission.objects.bulk_create(
        (
            DirectSubmission(session_id=session_id, task_id=task_id)
            for session_id, task_id in direct
            if (session_id, task_id) not in taken
        ),
        ignore_conflicts=True,
    )


def note_missed() -> None:
    """Record every open submission that no event has reported.

    For example, the chain had it before this reader's first event, or before its session listed
    this router.
    """
    known = Task.objects.filter(session_id=OuterRef("session_id"), task_id=OuterRef("task_id"))
    waiting = OnChainTask.objects.filter(
        Exists(_listings(OuterRef("session_id"))), ~Exists(known), ended_at=None
    )
    note(list(waiting.filter(task_id__lt=LANE_SIZE).values_list("session_id", "task_id")))


def due(now: datetime) -> list[DirectSubmission]:
    """Return the submissions to try now, the longest due first, at most `SESSION_SHARE` a session.

    Unconfirmed submissions are omitted: miners start work once no fork is expected to undo it.
    """
    is_first = ExpressionWrapper(Q(attempts=0), BooleanField())
    rows = (
        DirectSubmission.objects.filter(due_at__lte=now)
        .annotate(
            rank=Window(
                RowNumber(), partition_by=["session_id", is_first], order_by=["due_at", "pk"]
            )
        )
        .filter(rank__lte=SESSION_SHARE)
        .order_by("due_at", "pk")
    )
    unconfirmed = unconfirmed_submissions()
    return [
        row for row in rows[:WAITING_AT_ONCE] if (row.session_id, row.task_id) not in unconfirmed
    ]


def next_due_at(now: datetime) -> datetime | None:
    """Return when the next submission becomes due, apart from those that are due already."""
    later = DirectSubmission.objects.filter(due_at__gt=now).order_by("due_at")
    return later.values_list("due_at", flat=True).first()


def attempt(submission: DirectSubmission) -> None:
    """Queue a task for which the chain has already reserved money, if its content is available.

    A task that cannot be served is written and failed at once, so that its client learns why. The
    chain refunds it when its time in the queue ends.
    """
    if not _claim(submission, timezone.now()):
        return
    on_chain = OnChainTask.objects.filter(
        session_id=submission.session_id, task_id=submission.task_id, ended_at=None
    ).first()
    session = Session.objects.filter(pk=submission.session_id).first()
    if (
        on_chain is None  # a fork has undone the task, or the task has ended
        or session is None
        or not _listings(submission.session_id).exists()  # the session uses another router
    ):
        submission.delete()
        return
    try:
        task = task_of(on_chain, session)
    except Exception:  # the claim's pause has scheduled a retry: a newer release may read the task
        logger.exception("%s cannot be read", submission)
        return
    is_first = submission.attempts == 1
    _give_back_connection()
    try:
        within_s = FIRST_CONTENT_WITHIN_S if is_first else CONTENT_WITHIN_S
        problem = problem_of(task, session, within_s=within_s)
    except (PromptUnreachable, PromptMissing) as error:
        if timezone.now() < queued_until(task):
            _postpone(submission, str(error), queued_until(task))
            return
        problem = "prompt_unreadable", str(error)
    except Exception:
        logger.exception("%s cannot be looked at", submission)
        if timezone.now() < queued_until(task):
            _postpone(submission, "an unexpected error", queued_until(task))
            return
        problem = "prompt_unreadable", "this router fails to read the task"
    _take(task, problem, submission)


def queued_until(task: Task) -> datetime:
    """Return when a task's time in the queue ends. From then on the chain refunds it."""
    return task.created_at + timedelta(seconds=task.timeout_s)


def pause_after(attempts: int) -> timedelta:
    """Return how long to wait after this many failed attempts."""
    return timedelta(seconds=min(FIRST_PAUSE_S * 2.0 ** min(attempts - 1, 16), MAX_PAUSE_S))


def _claim(submission: DirectSubmission, now: datetime) -> bool:
    """Schedule the next attempt before making this one, so that a crash does not repeat at once."""
    attempts = submission.attempts + 1
    due_at = now + timedelta(seconds=CONTENT_WITHIN_S) + pause_after(attempts)
    mine = DirectSubmission.objects.filter(pk=submission.pk, attempts=submission.attempts)
    if not mine.update(attempts=attempts, due_at=due_at):
        return False
    submission.attempts, submission.due_at = attempts, due_at
    return True


def _postpone(submission: DirectSubmission, problem: str, last_at: datetime) -> None:
    logger.info("%s waits for its content: %s", submission, problem)
    # The last attempt runs when the task's time in the queue ends, and reports the failure.
    submission.due_at = min(timezone.now() + pause_after(submission.attempts), last_at)
    submission.problem = problem
    DirectSubmission.objects.filter(pk=submission.pk, attempts=submission.attempts).update(
        due_at=submission.due_at, problem=problem
    )


@transaction.atomic
def _take(task: Task, problem: tuple[str, str] | None, submission: DirectSubmission) -> None:
    same = OnChainTask.objects.filter(
        session_id=task.session_id, task_id=task.task_id, digest=task.task_digest
    )
    if not same.exists():
        # A fork has replaced the task. If another task has its number now, that has its own event.
        DirectSubmission.objects.filter(pk=submission.pk).update(due_at=timezone.now())
        return
    values = {
        field.attname: getattr(task, field.attname)
        for field in Task._meta.concrete_fields
        if not field.primary_key
    }
    row, is_new = Task.objects.get_or_create(
        session_id=values.pop("session_id"), task_id=values.pop("task_id"), defaults=values
    )
    DirectSubmission.objects.filter(pk=submission.pk).delete()
    if not is_new:
        return
    announce_stage(row)
    if problem is None:
        wakeup.notify(TASK_QUEUED)
    else:
        mark_failed(row, *problem)


def _listings(session_id: int | OuterRef) -> QuerySet[SessionRouter]:
    """Return this router's entry in the session's list of routers, if it has one."""
    return SessionRouter.objects.filter(
        session_id=session_id, address=ports.router_address(), removed=False
    )


def _give_back_connection() -> None:
    # Reading a content may take long, and the connection pool is small.
    if not connection.in_atomic_block:
        connection.close()
