"""Asks miners to reveal and the validator to judge, as soon as the chain's phases allow it.

The functions may be called at any time and repeatedly. They read the rows and the mirror, and do
only what is missing.
"""

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from mining import judging_queue
from mining.assignment import mailbox
from mining.deadlines import ASK_AGAIN_S, VALIDATE_AGAIN_S
from mining.errors import MailboxUnavailable
from mining.models import Assignment, AssignmentStatus, MinerResult, Validation
from mining.models.assignment import AssignmentQuerySet
from mining.progress.chain_catch_up import lags
from sessions.models import OnChainTask, Task, TaskStatus
from sessions.stages import task_states

logger = logging.getLogger(__name__)


def ask_reveals(task: Task) -> None:
    """Ask the miners that have not revealed to do so, if the precommit phase is over on chain.

    A miner is asked again after ASK_AGAIN_S.
    """
    with transaction.atomic():
        task = Task.objects.select_for_update().get(pk=task.pk)
        chain = _on_chain(task)
        if TaskStatus(task.status).is_final or chain is None or chain.precommit_ended_at is None:
            return
        now = timezone.now()
        missing = list(awaited(task))
        if missing:
            task_states.mark_precommitted(task, [a.miner for a in missing], at=now, is_locked=True)
        for assignment in missing:
            if _was_asked_lately(assignment.reveal_asked_at, now):
                continue
            assignment.reveal_asked_at = now
            assignment.save(update_fields=["reveal_asked_at"])
            _send_reveal_on_commit(assignment)


def ask_validation(task: Task) -> None:
    """Ask for a task's validation if no more answers can come.

    The validator is asked again after VALIDATE_AGAIN_S.
    """
    with transaction.atomic():
        ask_validation_of(Task.objects.select_for_update().get(pk=task.pk))


def ask_validation_of(task: Task, on_chain: OnChainTask | None = None) -> None:
    """Ask for a task's validation like `ask_validation`; the caller has locked the task.

    Args:
        task: the locked task.
        on_chain: the task's row of the mirror, if the caller has read it.
    """
    if TaskStatus(task.status) not in _BEFORE_VALIDATION:
        return
    on_chain = on_chain or _on_chain(task)
    if on_chain is None:
        return
    assignments = list(task.assignments.all())
    statuses = {a.miner: AssignmentStatus(a.status) for a in assignments}
    results = list(MinerResult.objects.filter(session_id=task.session_id, task_id=task.task_id))
    if any(lags(statuses.get(result.miner), result) for result in results):
        return  # a verdict has to judge all reveals, also those that miners sent to the chain
    revealed = [a.miner for a in assignments if a.status == AssignmentStatus.REVEALED]
    missing = any(
        result.precommit_at and statuses.get(result.miner) == AssignmentStatus.PRECOMMITTED
        for result in results
    )
    if not revealed or (on_chain.commit_ended_at is None and missing):
        return
    now = timezone.now()
    task_states.mark_precommitted(task, revealed, at=now, is_locked=True)
    task_states.mark_committed(task, revealed, at=now, is_locked=True)
    validation = Validation.objects.filter(task=task).first()
    if validation is None:
        Validation.objects.create(task=task)
    elif now - validation.asked_at < timedelta(seconds=VALIDATE_AGAIN_S):
        return
    else:
        validation.asked_at = now
        validation.save(update_fields=["asked_at"])
    transaction.on_commit(lambda: judging_queue.ask_for_validation(task.pk), robust=True)


def awaited(task: Task) -> AssignmentQuerySet:
    """Return the assignments that have precommitted on chain and have not revealed."""
    on_chain = MinerResult.objects.filter(
        session_id=task.session_id,
        task_id=task.task_id,
        miner=OuterRef("miner"),
        precommit_at__isnull=False,
    )
    return task.assignments.filter(status=AssignmentStatus.PRECOMMITTED).filter(Exists(on_chain))


_BEFORE_VALIDATION = (
    TaskStatus.ASSIGNED,
    TaskStatus.ACKED,
    TaskStatus.PRECOMMITTED,
    TaskStatus.COMMITTED,
)


def _on_chain(task: Task) -> OnChainTask | None:
    return OnChainTask.objects.filter(session_id=task.session_id, task_id=task.task_id).first()


def _was_asked_lately(asked_at: datetime | None, now: datetime) -> bool:
    return asked_at is not None and now - asked_at < timedelta(seconds=ASK_AGAIN_S)


def _send_reveal_on_commit(assignment: Assignment) -> None:
    def send() -> None:
        try:
            mailbox.send_reveal(assignment.miner, str(assignment.id))
        except MailboxUnavailable:
            logger.exception("%s: asking for the reveal failed; the oracle repeats it", assignment)

    transaction.on_commit(send, robust=True)
