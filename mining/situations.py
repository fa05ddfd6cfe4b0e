"""Reading from the rows and the mirror what decides a task's next steps, for all tasks at once."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from mining.deadlines import Holder, OnChain, Situation, Slot
from mining.following import lags
from mining.models import Assignment, AssignmentStatus, MinerPresence, MinerResult, Validation
from sessions.models import OnChainStatus, OnChainTask, Task, TaskStatus, numbered

Key = tuple[int, int]
"""Session and task numbers."""


@dataclass(frozen=True)
class Case:
    """A task and its situation."""

    task: Task
    situation: Situation


def unfinished() -> list[Case]:
    """Every task of this router that has not ended, here or on chain. Six queries in all."""
    mirrored = list(OnChainTask.objects.exclude(status=OnChainStatus.ENDED))
    on_chain = {(row.session_id, row.task_id): row for row in mirrored}
    tasks = list(
        Task.objects.filter(
            ~Q(status__in=[TaskStatus.ENDED, TaskStatus.FAILED]) | numbered(on_chain)
        )
    )
    open_pks = [task.pk for task in tasks]
    assignments = defaultdict[int, dict[str, Assignment]](dict)
    for assignment in Assignment.objects.filter(task_id__in=open_pks).order_by("position"):
        assignments[assignment.task_id][assignment.miner] = assignment
    numbers = {(task.session_id, task.task_id) for task in tasks}
    results = defaultdict[Key, dict[str, MinerResult]](dict)
    for result in MinerResult.objects.filter(numbered(numbers)):
        results[result.session_id, result.task_id][result.miner] = result
    heard_of = dict(MinerPresence.objects.values_list("address", "last_seen_at"))
    asked = dict(Validation.objects.filter(task_id__in=open_pks).values_list("task_id", "asked_at"))
    cases = []
    for task in tasks:
        key = (task.session_id, task.task_id)
        row = on_chain.get(key)
        if row is None and TaskStatus(task.status).is_final:
            continue
        situation = Situation(
            status=TaskStatus(task.status),
            created_at=task.created_at,
            timeout_s=task.timeout_s,
            chain=_on_chain(row),
            slots=tuple(
                _slot(a, results[key].get(a.miner), heard_of.get(a.miner))
                for a in assignments[task.pk].values()
                if a.status != AssignmentStatus.REPLACED
            ),
            validation_asked_at=asked.get(task.pk),
            holders=tuple(_holders(assignments[task.pk], results[key])),
            behind=any(
                lags(_status(assignments[task.pk].get(miner)), result)
                for miner, result in results[key].items()
            ),
        )
        cases.append(Case(task, situation))
    return cases


def _on_chain(row: OnChainTask | None) -> OnChain | None:
    if row is None or row.created_at is None:
        return None
    return OnChain(
        status=OnChainStatus(row.status),
        created_at=row.created_at,
        assigned_at=row.assigned_at,
        precommit_ended_at=row.precommit_ended_at,
        commit_ended_at=row.commit_ended_at,
    )


def _holders(
    assignments: Mapping[str, Assignment], results: Mapping[str, MinerResult]
) -> Iterator[Holder]:
    for miner, result in results.items():
        if result.assigned_at is None or result.replaced_at or result.precommit_at:
            continue
        if _status(assignments.get(miner)) not in _HAS_PRECOMMITTED:
            yield Holder(miner, result.assigned_at)


_HAS_PRECOMMITTED = (
    *(AssignmentStatus.PRECOMMITTED, AssignmentStatus.REVEALED, AssignmentStatus.JUDGED),
)


def _status(assignment: Assignment | None) -> AssignmentStatus | None:
    return AssignmentStatus(assignment.status) if assignment else None


def _slot(assignment: Assignment, result: MinerResult | None, heard_of_at: datetime | None) -> Slot:
    return Slot(
        assignment_id=assignment.id,
        position=assignment.position,
        status=AssignmentStatus(assignment.status),
        assigned_at=result.assigned_at if result else None,
        acked=assignment.acked_at is not None or bool(result and result.acked_at),
        precommitted_on_chain=bool(result and result.precommit_at),
        reveal_asked_at=assignment.reveal_asked_at,
        announced_at=assignment.announced_at,
        heard_of_at=heard_of_at,
    )
