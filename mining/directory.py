"""Functions for the layers below: the miners that are online, and each miner's part in a task.

`cortensor_site.router_ports` registers them, and `sessions.ports` defines their types.
"""

from datetime import datetime, timedelta

from django.utils import timezone
from eth_utils.address import to_checksum_address

from chain import storage
from chain.protocol.digests import commit_hash
from mining.deadlines import ONLINE_S
from mining.judging.answers import Answer, AnswerUnfit, read_answer
from mining.models import Assignment, AssignmentStatus, MinerPresence, MinerResult, Node, NodeState
from sessions.errors import EncryptionUnavailable
from sessions.models import Task
from sessions.ports import Distance, MinerEntry, MinerRecord, TaskRecords

SHOWN_S = 24 * 3600.0
"""The directory lists miners whose last heartbeat is at most this old."""


def miners_online() -> int:
    """Return the number of miners that are online."""
    since = timezone.now() - timedelta(seconds=ONLINE_S)
    return MinerPresence.objects.filter(last_seen_at__gte=since).count()


def miner_directory() -> list[MinerEntry]:
    """Return the miners with a heartbeat within SHOWN_S, those online first."""
    now = timezone.now()
    present = MinerPresence.objects.filter(last_seen_at__gte=now - timedelta(seconds=SHOWN_S))
    nodes = Node.objects.in_bulk([presence.address for presence in present])
    entries = [_entry(presence, nodes.get(presence.address), now) for presence in present]
    return sorted(entries, key=lambda entry: (not entry["online"], entry["address"]))


def task_records(task: Task) -> TaskRecords:
    """Return every miner's part in a task, ordered by position, with replaced miners last."""
    assignments = sorted(
        task.assignments.all(),
        key=lambda a: (a.status == AssignmentStatus.REPLACED, a.position, a.leased_at),
    )
    on_chain = {
        result.miner: result
        for result in MinerResult.objects.filter(session_id=task.session_id, task_id=task.task_id)
    }
    return TaskRecords(
        miners=[_record(task, a, on_chain.get(a.miner)) for a in assignments],
        distances=_distances(task),
        result_cids=[a.content_cid for a in assignments if a.content_cid],
    )


def sessions_of_result(cid: str) -> list[int]:
    """Return the sessions with a task for which a miner has revealed the content with this CID."""
    revealed = Assignment.objects.filter(content_cid=cid, revealed_at__isnull=False)
    return list(revealed.order_by().values_list("task__session_id", flat=True).distinct()[:1_000])


def _entry(presence: MinerPresence, node: Node | None, now: datetime) -> MinerEntry:
    seen = presence.last_seen_at
    return MinerEntry(
        address=to_checksum_address(presence.address),
        state=NodeState(node.state if node else NodeState.UNKNOWN).name.lower(),
        reputation=node.reputation if node else 0,
        online=seen is not None and now - seen <= timedelta(seconds=ONLINE_S),
        slots=presence.slots,
        in_flight=presence.in_flight,
        tokens_per_s=presence.tokens_per_s,
        models=list(presence.model_identifiers),
        loaded=dict(presence.loaded),
        draining=presence.draining,
        software=presence.software,
        last_seen_at=_iso(seen),
    )


def _record(task: Task, assignment: Assignment, chain: MinerResult | None) -> MinerRecord:
    answer = _answer(task, assignment)
    calculated = _calculated_hash(task, assignment)
    started, ended = assignment.acked_at, assignment.precommit_at
    return MinerRecord(
        address=to_checksum_address(assignment.miner),
        status=assignment.status,
        text=answer.text if answer else None,
        ack=assignment.acked_at is not None or assignment.precommit_at is not None,
        acked_at=_iso(assignment.acked_at),
        precommit_at=_iso(assignment.precommit_at),
        commit_at=_iso(assignment.revealed_at),
        inference_sec=round((ended - started).total_seconds(), 3) if started and ended else None,
        words=len(answer.text.split()) if answer else None,
        tokens=_tokens(assignment, answer),
        data_hash=assignment.precommit_hash or None,
        calculated_hash=calculated,
        hash_verified=calculated == assignment.precommit_hash if calculated else None,
        finish_reason=answer.finish_reason if answer else None,
        input_tokens=assignment.input_tokens,
        accuracy_bps=assignment.accuracy_bps,
        paid_wei=str(int(chain.paid_wei) if chain else 0),
        precommit_tx=(chain.precommit_tx or None) if chain else None,
        commit_tx=(chain.commit_tx or None) if chain else None,
        failure=assignment.failure_code or None,
    )


def _answer(task: Task, assignment: Assignment) -> Answer | None:
    if not assignment.content_cid:
        return None
    try:
        return read_answer(task, assignment)
    except (AnswerUnfit, storage.StorageError, OSError, EncryptionUnavailable):
        return None


def _calculated_hash(task: Task, assignment: Assignment) -> str | None:
    if not assignment.commit_data:
        return None
    miner = to_checksum_address(assignment.miner)
    digest = commit_hash(task.session_id, task.task_id, miner, assignment.commit_data)
    return "0x" + digest.hex()


def _tokens(assignment: Assignment, answer: Answer | None) -> int | None:
    if assignment.output_tokens is not None:
        return assignment.output_tokens
    return len(answer.token_ids) if answer else None


def _distances(task: Task) -> list[Distance]:
    validation = getattr(task, "validation", None)
    if validation is None:
        return []
    miners: list[str] = validation.miners
    return [
        Distance(a=miners[i], b=miners[j], distance=validation.distances[i][j])
        for i in range(len(miners))
        for j in range(i + 1, len(miners))
    ]


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
