"""Reads the rows that decide tasks' next steps, for many tasks at once."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.db.models import Exists, OuterRef

from mining.deadlines import Holder, OnChain, Situation, Slot
from mining.models import Assignment, AssignmentStatus, MinerPresence, MinerResult, Validation
from mining.models.assignment import UNDECIDED
from mining.progress.chain_catch_up import lags
from sessions.models import OnChainStatus, OnChainTask, Task, TaskStatus, numbered

Key = tuple[int, int]
"""Session and task numbers."""


@dataclass(frozen=True)
class Case:
    """A task, and the rows that decide its next steps."""

    task: Task
    on_chain: OnChainTask | None
    """The task's row of the mirror, or None if the task has ended on chain."""
    assignments: Mapping[str, Assignment]
    """The task's assignments by miner."""
    results: Mapping[str, MinerResult]
    """The mirror's rows of the task's miners, by miner."""
    heard_of: Mapping[str, datetime | None]
    """When each miner sent its last heartbeat."""
    validation_asked_at: datetime | None

    @property
    def is_over(self) -> bool:
        """Whether the task has ended both in the router and on chain."""
        return TaskStatus(self.task.status).is_final and self.on_chain is None

    @property
    def leftover(self) -> list[Assignment]:
        """The assignments that are undecided although the task has ended."""
        if not TaskStatus(self.task.status).is_final:
            return []
        return [each for each in self.assignments.values() if each.status in UNDECIDED]

    @cached_property
    def situation(self) -> Situation:
        """The facts that decide the task's next steps."""
        return Situation(
            status=TaskStatus(self.task.status),
            created_at=self.task.created_at,
            timeout_s=self.task.timeout_s,
            chain=_on_chain(self.on_chain),
            slots=tuple(
                _slot(each, self.results.get(each.miner), self.heard_of.get(each.miner))
                for each in self.assignments.values()
                if each.status != AssignmentStatus.REPLACED
            ),
            validation_asked_at=self.validation_asked_at,
            holders=tuple(_holders(self.assignments, self.results)),
            deaths=tuple(each.deaths for each in self.assignments.values() if each.deaths),
            behind=any(
                lags(_status(self.assignments.get(miner)), result)
                for miner, result in self.results.items()
            ),
        )


def unfinished() -> set[int]:
    """Return the keys of this router's tasks that have not ended in the router or on chain.

    The queries use partial indexes, so ended tasks cost nothing.
    """
    still_on_chain = OnChainTask.objects.filter(
        session_id=OuterRef("session_id"), task_id=OuterRef("task_id"), ended_at=None
    )
    return {
        *Task.objects.open().order_by().values_list("pk", flat=True),
        *Task.objects.filter(Exists(still_on_chain)).order_by().values_list("pk", flat=True),
        *Assignment.objects.filter(status__in=UNDECIDED)
        .order_by()
        .values_list("task_id", flat=True),
    }


def read_cases(keys: Collection[int]) -> list[Case]:
    """Read the tasks with these keys. The number of queries is six, for any number of tasks."""
    tasks = list(Task.objects.filter(pk__in=keys).order_by("pk"))
    numbers = {(task.session_id, task.task_id) for task in tasks}
    on_chain = {
        (row.session_id, row.task_id): row
        for row in OnChainTask.objects.filter(numbered(numbers)).exclude(status=OnChainStatus.ENDED)
    }
    assignments = defaultdict[int, dict[str, Assignment]](dict)
    for assignment in Assignment.objects.filter(task_id__in=keys).order_by("position"):
        assignments[assignment.task_id][assignment.miner] = assignment
    results = defaultdict[Key, dict[str, MinerResult]](dict)
    for result in MinerResult.objects.filter(numbered(numbers)):
        results[result.session_id, result.task_id][result.miner] = result
    miners = {miner for each in assignments.values() for miner in each}
    heard_of = dict(
        MinerPresence.objects.filter(pk__in=miners).values_list("address", "last_seen_at")
    )
    asked = dict(Validation.objects.filter(task_id__in=keys).values_list("task_id", "asked_at"))
    return [
        Case(
            task,
            on_chain.get((task.session_id, task.task_id)),
            assignments[task.pk],
            results[task.session_id, task.task_id],
            heard_of,
            asked.get(task.pk),
        )
        for task in tasks
    ]


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
    AssignmentStatus.PRECOMMITTED,
    AssignmentStatus.REVEALED,
    AssignmentStatus.JUDGED,
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
        deaths=assignment.deaths,
        alone=assignment.alone,
    )
