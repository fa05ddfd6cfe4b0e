"""The oracle's steps. Each does one thing to one task, and may be repeated safely."""

import logging
import time
from collections.abc import Callable
from datetime import datetime

import redis
from django.db import transaction

from chain import operations
from chain.postgres.liveness import ALIVE_S, read_marks
from chain.postgres.wakeup import notify
from chain.sending import outbox
from mining.assignment import mailbox
from mining.assignment.candidates import lock_slots, mode_of, online_miners, suitable
from mining.assignment.dispatch import draw_seed
from mining.assignment.draw import choose_miners
from mining.assignment.leases import lease, listen_to
from mining.assignment.states import advance
from mining.deadlines import Action, Step, live_slot, successor
from mining.models import Assignment, AssignmentStatus
from mining.models.assignment import UNDECIDED
from mining.progress import chain_catch_up, node_deaths, reveal_and_judge
from mining.progress.snapshot import Case
from sessions.models import Task, TaskStatus
from sessions.stages import task_states

DISPATCH = "dispatch"
"""The name under which the dispatcher reports that it is alive."""

logger = logging.getLogger(__name__)


def release(left: Assignment, now: datetime) -> None:
    """Fail an undecided assignment of an ended task, and stop its miner if it still works."""
    with transaction.atomic():
        assignment = Assignment.objects.select_for_update().get(pk=left.pk)
        if assignment.status not in UNDECIDED:
            return
        if assignment.status in (AssignmentStatus.LEASED, AssignmentStatus.ACKED):
            mailbox.cancel_on_commit(assignment)
            notify("miner_free")
        advance(
            assignment,
            AssignmentStatus.FAILED,
            now,
            failure_code="task_over",
            failure_message="the task was over before this part of it was",
        )


def _give_up(case: Case, action: Action, now: datetime) -> None:
    with transaction.atomic():
        task = Task.objects.select_for_update().get(pk=case.task.pk)
        if task.status == TaskStatus.QUEUED:
            code, reason = _why_not_given(task)
            task_states.mark_failed(
                task, code, f"{reason}; what was reserved for it returns to the session", at=now
            )


def _why_not_given(task: Task) -> tuple[str, str]:
    """Return the code and the reason why a task left the queue without a miner."""
    try:
        silent_s = read_marks([DISPATCH]).age_s(DISPATCH, time.time())
    except (redis.RedisError, OSError):
        silent_s = 0.0  # without Redis, the dispatcher's state is unknown
    if silent_s > ALIVE_S:
        return "dispatcher_away", "the router's dispatcher was away while the task waited"
    within = f"within the task's {task.timeout_s} s"
    return "no_miner_available", f"no {task.redundancy} miners were free {within}"


def _replace(case: Case, action: Action, now: datetime) -> None:
    """Replace a late miner by the next one in the draw, if a suitable miner is free."""
    assert action.assignment_id is not None
    with transaction.atomic():
        lock_slots()
        miners = online_miners(int(case.task.model_identifier), now)
        task = Task.objects.select_for_update().get(pk=case.task.pk)
        late = task.assignments.select_for_update().get(pk=action.assignment_id)
        if late.status not in _REPLACEABLE:
            return
        taken = set(task.assignments.values_list("miner", flat=True))
        alone = node_deaths.deaths_of(task) > 0
        free = [
            miner.candidate
            for miner in suitable(task, mode_of(task), miners)
            if (miner.is_idle if alone else miner.is_free) and miner.candidate.address not in taken
        ]
        chosen = choose_miners(free, 1, draw_seed(task))
        if not chosen:
            return
        if late.status != AssignmentStatus.FAILED:
            mailbox.cancel_on_commit(late)
        advance(late, AssignmentStatus.REPLACED, now)
        address = chosen[0].address
        live = live_slot(case.situation.slots)
        was_live = live is not None and live.assignment_id == late.id
        position = late.position
        lease(task, {position: address}, now, live=position if was_live else None, alone=alone)
        outbox.enqueue(operations.replace_miner(task.session_id, task.task_id, late.miner, address))
        logger.warning("%s: %s is late and is replaced by %s", task, late.miner, address)


def _draw(case: Case, action: Action, now: datetime) -> None:
    """Let the contract draw a late miner's replacement. `_follow` later sends it the job."""
    late = operations.replace_miner_by_draw(case.task.session_id, case.task.task_id, action.miner)
    with transaction.atomic():
        outbox.enqueue(late)


def _follow(case: Case, action: Action, now: datetime) -> None:
    chain_catch_up.follow(case.task)


def _switch_source(case: Case, action: Action, now: datetime) -> None:
    """Let the client follow the stream of another miner of the task, which has the same text."""
    with transaction.atomic():
        Task.objects.select_for_update().get(pk=case.task.pk)
        slot = successor(case.situation.slots)
        if slot is not None:
            listen_to(Assignment.objects.select_for_update().get(pk=slot.assignment_id), now)


def _try_alone(case: Case, action: Action, now: datetime) -> None:
    assert action.assignment_id is not None
    node_deaths.try_alone(action.assignment_id)


def _drop(case: Case, action: Action, now: datetime) -> None:
    assert action.assignment_id is not None
    node_deaths.drop(action.assignment_id, now)


def _refuse(case: Case, action: Action, now: datetime) -> None:
    node_deaths.refuse(case.task, now)


_REPLACEABLE = (AssignmentStatus.LEASED, AssignmentStatus.ACKED, AssignmentStatus.FAILED)


def _end_precommit(case: Case, action: Action, now: datetime) -> None:
    with transaction.atomic():
        outbox.enqueue(operations.end_precommit(case.task.session_id, case.task.task_id))


def _end_commit(case: Case, action: Action, now: datetime) -> None:
    with transaction.atomic():
        outbox.enqueue(operations.end_commit(case.task.session_id, case.task.task_id))


def _end_task(case: Case, action: Action, now: datetime) -> None:
    with transaction.atomic():
        outbox.enqueue(operations.end_task(case.task.session_id, case.task.task_id))


def _ask_reveals(case: Case, action: Action, now: datetime) -> None:
    reveal_and_judge.ask_reveals(case.task)


def _ask_validation(case: Case, action: Action, now: datetime) -> None:
    reveal_and_judge.ask_validation(case.task)


STEPS: dict[Step, Callable[[Case, Action, datetime], None]] = {
    Step.GIVE_UP: _give_up,
    Step.SWITCH_SOURCE: _switch_source,
    Step.FOLLOW: _follow,
    Step.REPLACE: _replace,
    Step.TRY_ALONE: _try_alone,
    Step.DROP: _drop,
    Step.REFUSE: _refuse,
    Step.DRAW: _draw,
    Step.END_PRECOMMIT: _end_precommit,
    Step.ASK_REVEAL: _ask_reveals,
    Step.END_COMMIT: _end_commit,
    Step.VALIDATE: _ask_validation,
    Step.END_TASK: _end_task,
}
