"""Bringing the queue in step with the mirror after the chain's news.

The mirror is compared, not the news read: whatever signal was missed in a crash, the next batch
makes up for it.
"""

import logging
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.dispatch import receiver

from chain.models import Operation
from chain.operations import OperationKind
from chain.signals import events_stored, operation_failed
from sessions import ports
from sessions.confirmation import unconfirmed_submissions
from sessions.direct_tasks import accept_from_chain
from sessions.lanes import LANE_SIZE
from sessions.models import OnChainTask, Session, SessionRouter, Task, TaskOrigin, numbered
from sessions.task_states import mark_ended, mark_failed

logger = logging.getLogger(__name__)


@receiver(events_stored, dispatch_uid="sessions.reconcile")
def reconcile(**_: Any) -> None:
    """Queue what clients submitted on chain, and end what the chain has ended."""
    _drop_superseded_tasks()
    _accept_direct_tasks()
    _end_ended_tasks()


@receiver(operation_failed, dispatch_uid="sessions.submission_refused")
def submission_refused(operation: Operation, **_: Any) -> None:
    """Fail a task whose submission the chain refused; nothing is reserved for it any more."""
    if operation.kind != OperationKind.SUBMIT_TASK:
        return
    payload = operation.payload
    with transaction.atomic():
        task = (
            Task.objects.select_for_update()
            .filter(session_id=payload["session_id"], task_id=payload["task_id"])
            .first()
        )
        if task is None:
            return
        mark_failed(task, "submission_refused", f"the chain refused the task: {operation.error}")
        Task.objects.filter(pk=task.pk).update(reserve_wei=0)


def _drop_superseded_tasks() -> None:
    """Forget direct tasks whose number a fork has given to another task.

    One that has only gone stays: as a rule a fork brings it back, as the same task.
    """
    another = OnChainTask.objects.filter(
        session_id=OuterRef("session_id"), task_id=OuterRef("task_id")
    ).exclude(digest__in=[OuterRef("task_digest"), ""])
    for task in Task.objects.filter(Exists(another), origin=TaskOrigin.CHAIN):
        logger.warning("%s was undone by a fork, and another one has its number", task)
        task.delete()


def _accept_direct_tasks() -> None:
    """Those of sessions that list this router; another router serves the others.

    Miners are put to work once no fork is expected to undo the submission.
    """
    unconfirmed = unconfirmed_submissions()
    known = Task.objects.filter(session_id=OuterRef("session_id"), task_id=OuterRef("task_id"))
    ours = SessionRouter.objects.filter(
        session_id=OuterRef("session_id"), address=ports.router_address(), removed=False
    )
    waiting = OnChainTask.objects.filter(
        Exists(ours), ~Exists(known), ended_at=None, task_id__lt=LANE_SIZE
    ).order_by("created_at", "task_id")
    for on_chain in waiting:
        if (on_chain.session_id, on_chain.task_id) in unconfirmed:
            continue
        session = Session.objects.filter(pk=on_chain.session_id).first()
        if session is None:
            continue
        try:
            accept_from_chain(on_chain, session)
        except Exception:  # one task must not keep the others, or the chain's sync, waiting
            logger.exception("task %s was not taken from the chain", on_chain)


def _end_ended_tasks() -> None:
    ended = OnChainTask.objects.filter(
        session_id=OuterRef("session_id"), task_id=OuterRef("task_id"), ended_at__isnull=False
    )
    tasks = {
        (task.session_id, task.task_id): task for task in Task.objects.open().filter(Exists(ended))
    }
    for on_chain in OnChainTask.objects.filter(numbered(tasks), ended_at__isnull=False):
        task = tasks.get((on_chain.session_id, on_chain.task_id))
        if task is None:
            continue
        if on_chain.paid_wei > 0:
            mark_ended(task, at=on_chain.ended_at)
        else:
            mark_ended(
                task,
                "refunded",
                "no result was paid for; the whole reservation returned to the session",
                at=on_chain.ended_at,
            )
