"""The assignments follow the chain where something was done without the router.

A miner may precommit and reveal by transactions of its own, and anyone may have a late miner
replaced by a draw. Which of several opinions counts is the chain's to say: what the mirror shows
is taken over here, whatever the router had meant.
"""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from chain import storage
from chain.deployed.task_results import ChainResult, read_results
from chain.protocol.digests import ADDRESS_SCHEME, addressed_digest
from chain.rpc.client import RpcError
from chain.storage import StorageError
from mining.assignment import mailbox
from mining.assignment.leases import lease
from mining.assignment.states import follow_chain
from mining.models import Assignment, AssignmentStatus, MinerResult
from mining.progress.node_deaths import deaths_of, is_given_up
from sessions.models import Task, TaskStatus, numbered

logger = logging.getLogger(__name__)

_S = AssignmentStatus
BEFORE_PRECOMMIT = frozenset({_S.LEASED, _S.ACKED, _S.FAILED})
_BEFORE_REPLACEMENT = BEFORE_PRECOMMIT | {_S.PRECOMMITTED}
_DECIDED = frozenset({_S.REVEALED, _S.JUDGED})


def lags(status: AssignmentStatus | None, result: MinerResult) -> bool:
    """Whether an assignment, or its lack (None), is behind what the mirror shows of its miner."""
    if result.assigned_at is None:
        return False
    if result.replaced_at is not None:
        return status in _BEFORE_REPLACEMENT
    if status is None:
        return True
    if result.commit_at is not None:
        return status not in _DECIDED
    return result.precommit_at is not None and status in BEFORE_PRECOMMIT | {_S.REPLACED}


def follow(task: Task) -> bool:
    """Take over what the chain has and the router has not; whether nothing is left to take over.

    Asks the chain itself for hashes and results, which no event carries.
    """
    behind = _behind(task)
    if not behind:
        return True
    revealing = any(row.precommit_at and row.replaced_at is None for row in behind)
    results: Mapping[str, ChainResult] = {}
    if revealing:
        try:
            results = read_results(task.session_id, task.task_id)
            contents = {miner: _content_cid(result) for miner, result in results.items()}
        except (RpcError, StorageError):
            logger.warning("%s: its results cannot be read", task, exc_info=True)
            return False
    else:
        contents = {}
    with transaction.atomic():
        task = Task.objects.select_for_update().get(pk=task.pk)
        if TaskStatus(task.status).is_final:
            return True
        now = timezone.now()
        _give_places(task, _behind(task), now)
        for row in _behind(task):
            result = results.get(row.miner)
            if result is not None:
                _take_over(task, row, result, contents[row.miner], now)
    return not _behind(task)


def behind_among(tasks: Collection[Task]) -> dict[int, list[MinerResult]]:
    """By the keys of their tasks, what the chain has and the router has not taken over."""
    if not tasks:
        return {}
    statuses = {
        (pk, miner): AssignmentStatus(status)
        for pk, miner, status in Assignment.objects.filter(task__in=tasks).values_list(
            "task_id", "miner", "status"
        )
    }
    keys = {(task.session_id, task.task_id): task.pk for task in tasks}
    behind = defaultdict[int, list[MinerResult]](list)
    for row in MinerResult.objects.filter(numbered(keys)).order_by("pk"):
        pk = keys.get((row.session_id, row.task_id))
        if pk is not None and lags(statuses.get((pk, row.miner)), row):
            behind[pk].append(row)
    return behind


def _behind(task: Task) -> list[MinerResult]:
    return behind_among([task]).get(task.pk, [])


def is_behind(task: Task) -> bool:
    """Whether the chain has what the router has not taken over."""
    return bool(_behind(task))


def _give_places(task: Task, rows: Iterable[MinerResult], now: datetime) -> None:
    """Put out whom the chain has replaced, and lease the places to whom it has put there."""
    newcomers = []
    for row in rows:
        assignment = task.assignments.select_for_update().filter(miner=row.miner).first()
        if assignment is None:
            newcomers.append(row.miner)
        elif row.replaced_at is not None:
            _put_out(assignment, now)
    if newcomers and is_given_up(task):
        logger.warning("%s: nodes died with it; nobody gets the job again", task)
        return
    for miner in newcomers:
        position = _free_position(task, now)
        if position is None:
            logger.error("%s: the chain has put %s on it, and no place is free", task, miner)
            continue
        alone = deaths_of(task) > 0
        lease(task, {position: miner}, now, live=_orphaned_stream(task), alone=alone)
        logger.warning("%s: the chain has given place %d to %s", task, position, miner)


def _orphaned_stream(task: Task) -> int | None:
    """The place whose stream the client gets, if its miner has been replaced."""
    announced = task.assignments.filter(announced_at__isnull=False)
    live = announced.order_by("announced_at", "position").last()
    return live.position if live is not None and live.status == _S.REPLACED else None


def _free_position(task: Task, now: datetime) -> int | None:
    """A place that nobody holds; else one of a miner whom the router chose, the chain did not."""
    holders = {assignment.position: assignment for assignment in task.assignments.in_place()}
    for position in range(task.redundancy):
        if position not in holders:
            return position
    on_chain = set(
        MinerResult.objects.filter(
            session_id=task.session_id, task_id=task.task_id, assigned_at__isnull=False
        ).values_list("miner", flat=True)
    )
    for position, assignment in holders.items():
        if assignment.miner not in on_chain and assignment.status in _BEFORE_REPLACEMENT:
            _put_out(assignment, now)
            return position
    return None


def _return(assignment: Assignment, now: datetime) -> None:
    """Give its place back to whom the router had replaced, and the chain has not."""
    others = assignment.task.assignments.select_for_update().in_place()
    for other in others.filter(position=assignment.position):
        if other.status in _BEFORE_REPLACEMENT:
            _put_out(other, now)


def _put_out(assignment: Assignment, now: datetime) -> None:
    if assignment.status in (_S.LEASED, _S.ACKED):
        mailbox.cancel_on_commit(assignment)
    follow_chain(assignment, _S.REPLACED, now)


def _take_over(
    task: Task, row: MinerResult, result: ChainResult, content_cid: str, now: datetime
) -> None:
    assignment = task.assignments.select_for_update().filter(miner=row.miner).first()
    if assignment is None:
        return
    if assignment.status in BEFORE_PRECOMMIT | {_S.REPLACED} and any(result.hash):
        if assignment.status == _S.REPLACED:
            _return(assignment, now)
        hashed = "0x" + result.hash.hex()
        follow_chain(assignment, _S.PRECOMMITTED, now, precommit_hash=hashed)
        logger.info("%s: it has precommitted by itself", assignment)
    if row.commit_at is not None and assignment.status == _S.PRECOMMITTED and result.data:
        follow_chain(assignment, _S.REVEALED, now, commit_data=result.data, content_cid=content_cid)
        logger.info("%s: it has revealed by itself", assignment)


def _content_cid(result: ChainResult) -> str:
    """Where a revealed result can be read: what is no content address is the content itself."""
    if not result.data:
        return ""
    if addressed_digest(result.data) is not None:
        return result.data.removeprefix(ADDRESS_SCHEME)
    return storage.put(result.data.encode())
