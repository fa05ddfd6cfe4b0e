"""Updates assignments after changes on chain that this router did not make.

A miner may send its precommit and its reveal in transactions of its own, and anyone may have the
contract replace a late miner by a draw. The chain decides: where the mirror and an assignment
differ, this module changes the assignment.
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
    """Return whether an assignment is behind the mirror's row of its miner.

    Args:
        status: the assignment's status, or None if the router has no assignment of that miner.
        result: the miner's row in the mirror.
    """
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
    """Update a task's assignments from the chain. Return whether they are up to date afterwards.

    The function reads hashes and results by a call of the contract, since no event contains them.
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
    """Return the mirror's rows that assignments are behind, by the keys of their tasks."""
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
    """Return whether any assignment of a task is behind the mirror."""
    return bool(_behind(task))


def _give_places(task: Task, rows: Iterable[MinerResult], now: datetime) -> None:
    """Close the assignments of replaced miners, and lease their places to the new miners."""
    newcomers = []
    for row in rows:
        assignment = task.assignments.select_for_update().filter(miner=row.miner).first()
        if assignment is None:
            newcomers.append(row.miner)
        elif row.replaced_at is not None:
            _put_out(assignment, now)
    if newcomers and is_given_up(task):
        logger.warning("%s: nodes died while they worked on it; it is not leased again", task)
        return
    for miner in newcomers:
        position = _free_position(task, now)
        if position is None:
            logger.error("%s: the chain has assigned %s to it, and no place is free", task, miner)
            continue
        alone = deaths_of(task) > 0
        lease(task, {position: miner}, now, live=_orphaned_stream(task), alone=alone)
        logger.warning("%s: the chain has given place %d to %s", task, position, miner)


def _orphaned_stream(task: Task) -> int | None:
    """Return the position of the stream that the client follows, if its miner was replaced."""
    announced = task.assignments.filter(announced_at__isnull=False)
    live = announced.order_by("announced_at", "position").last()
    return live.position if live is not None and live.status == _S.REPLACED else None


def _free_position(task: Task, now: datetime) -> int | None:
    """Return a position for a miner that the chain has assigned, or None if there is none.

    If every position is taken, use that of a miner that the router has chosen and the chain has
    not, and close its assignment.
    """
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
    """Close the assignment of the miner that replaced this one only in the router's view."""
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
        logger.info("%s: the miner has sent its precommit to the chain itself", assignment)
    if row.commit_at is not None and assignment.status == _S.PRECOMMITTED and result.data:
        follow_chain(assignment, _S.REVEALED, now, commit_data=result.data, content_cid=content_cid)
        logger.info("%s: the miner has sent its reveal to the chain itself", assignment)


def _content_cid(result: ChainResult) -> str:
    """Return the CID of a revealed result, or "" if there is none.

    A result that is not a content address is the content itself, and is stored first.
    """
    if not result.data:
        return ""
    if addressed_digest(result.data) is not None:
        return result.data.removeprefix(ADDRESS_SCHEME)
    return storage.put(result.data.encode())
