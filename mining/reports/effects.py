"""Checks a miner's report and stores its effects.

Each report has one transaction, and handling a report again changes nothing. Miners are untrusted:
every claim needs the miner's signature, and a signature counts only for its own assignment.
"""

import logging
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from eth_utils.address import to_checksum_address

from chain import operations, storage
from chain.deployed.contracts import deployment
from chain.postgres.wakeup import notify
from chain.protocol.digests import commit_hash, raw_address, raw_cid
from chain.protocol.envelopes import EnvelopeError, InvalidKey, Role, read_public_key
from chain.protocol.messages import (
    Ack,
    Commit,
    Heartbeat,
    InvalidSignature,
    Precommit,
    SigningDomain,
    recover,
)
from chain.sending import outbox
from mining.assignment.states import advance
from mining.deadlines import ONLINE_S
from mining.errors import ReportRefused
from mining.models import Assignment, AssignmentStatus, MinerPresence
from mining.node.protocol.reports import (
    NODE_DIED,
    AckReport,
    CommitReport,
    FailedReport,
    HeartbeatReport,
    NodeStatus,
    PrecommitReport,
    Report,
)
from mining.progress import node_deaths
from mining.progress.reveal_and_judge import ask_validation_of
from mining.reports import first_tokens
from sessions.intake import encryption
from sessions.models import OnChainTask, Task, TaskStatus
from sessions.stages import task_states

ACK_RELAY_TIMEOUT_S = 300
"""The shortest task timeout at which acks are sent to the chain.

There the ack shows a waiting client that a miner works. For shorter tasks the precommit shows it
soon enough, and the ack would only cost gas.
"""
MAX_AHEAD_S = 5.0
"""The most seconds that a node's clock may be ahead of this router's clock."""
MAX_SLOTS = 256
MAX_MODELS = 32
HOPELESS_CODES = frozenset(
    {
        "context_exceeded",
        "grammar_invalid",
        "grammar_failed",
        "grammar_too_slow",
        "prompt_empty",
        "prompt_refused",
        "template_unusable",
    }
)
"""The codes of failures that the task itself causes, so that every other miner would fail too."""
_REVEALED = (AssignmentStatus.REVEALED, AssignmentStatus.JUDGED)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredReveal:
    """A reveal whose content is stored, or does not have to be stored."""

    report: CommitReport


PreparedReport = HeartbeatReport | AckReport | PrecommitReport | FailedReport | StoredReveal


def prepare(address: str, report: Report) -> PreparedReport:
    """Store the content of a reveal. Other reports are returned as they are.

    This happens before the report's transaction, since a slow content store must not keep rows
    locked.

    Raises:
        ReportRefused: the content is not the one that the miner has precommitted.
        StorageError: the content store is unavailable.
    """
    if not isinstance(report, CommitReport):
        return report
    task, assignment = _find(address.lower(), report.assignment_id)
    content = report.content.encode()
    if assignment.status in _REVEALED:
        # The miner has sent its reveal to the chain itself, perhaps with the content's address
        # only.
        if assignment.content_cid != raw_cid(content):
            return StoredReveal(report)
    else:
        _require_precommitted(task, assignment, report)
    if task.encrypted:
        _require_sealed(task, content)
    storage.put(content)
    return StoredReveal(report)


def accept(address: str, report: PreparedReport, now: datetime) -> None:
    """Check a report and store its effects, in a transaction or as a part of the caller's.

    Args:
        address: the owner of the mailbox that the report was in.
        report: the report, as `prepare` has returned it.
        now: the time.

    Raises:
        ReportRefused: the report is false or comes at the wrong time. Nothing was changed.
    """
    address = address.lower()
    match report:
        case HeartbeatReport():
            _heartbeat(address, report, now)
        case AckReport():
            _ack(address, report, now)
        case PrecommitReport():
            _precommit(address, report, now)
        case StoredReveal():
            _commit(address, report.report, now)
        case FailedReport():
            _failed(address, report, now)


@transaction.atomic(savepoint=False)
def _heartbeat(address: str, report: HeartbeatReport, now: datetime) -> None:
    """Store a miner's status, which must be signed and newer than the last one.

    The heartbeat's own time counts, not the time when it is read: an old heartbeat that has waited
    in the mailbox does not make its miner online.
    """
    miner = to_checksum_address(address)
    _require_signed(Heartbeat(miner, report.status), report.signature, miner, "NodePool")
    status = report.read()
    if status.sent_at_ms > (now.timestamp() + MAX_AHEAD_S) * 1000:
        raise ReportRefused(
            f"sent_at_ms: it is more than {MAX_AHEAD_S:.0f} s ahead of this router's clock; set"
            " the node's"
        )
    presence, _ = MinerPresence.objects.select_for_update().get_or_create(pk=address)
    if status.sent_at_ms <= presence.heartbeat_ms:
        raise ReportRefused(
            f"sent_at_ms: {status.sent_at_ms} is not after {presence.heartbeat_ms}; a heartbeat"
            " counts once, and none before it any more"
        )
    sent_at = min(now, datetime.fromtimestamp(status.sent_at_ms / 1000, UTC))
    seen = presence.last_seen_at
    was_away = seen is None or sent_at - seen > timedelta(seconds=ONLINE_S)
    was_away = was_away or (presence.draining and not status.draining)
    _remember(presence, status, sent_at)
    if was_away:
        notify("miner_free")


def _remember(presence: MinerPresence, status: NodeStatus, sent_at: datetime) -> None:
    speeds = {number: _finite(speed) for number, speed in status.loaded.items()}
    presence.last_seen_at = sent_at
    presence.heartbeat_ms = status.sent_at_ms
    presence.slots = min(max(status.slots, 0), MAX_SLOTS)
    presence.in_flight = min(max(status.in_flight, 0), MAX_SLOTS)
    presence.draining = status.draining
    presence.canonical = status.canonical
    served = [number for number in status.models if 0 <= number < 2**63]
    presence.model_identifiers = served[:MAX_MODELS]
    presence.loaded = {
        str(number): speeds[number] for number in presence.model_identifiers if number in speeds
    }
    presence.tokens_per_s = sum(presence.loaded.values())
    presence.software = _storable(status.software)[:100]
    presence.encryption_key = _known_key(status.encryption_key)
    presence.save()


def _finite(speed: float) -> float:
    return speed if math.isfinite(speed) and speed > 0 else 0.0


@transaction.atomic(savepoint=False)
def _ack(address: str, report: AckReport, now: datetime) -> None:
    task, assignment = _locked(address, report.assignment_id)
    message = Ack(task.session_id, task.task_id, _digest(task), to_checksum_address(address))
    _require_signed(message, report.signature, message.miner)
    if assignment.status != AssignmentStatus.LEASED:
        return
    advance(assignment, AssignmentStatus.ACKED, now)
    task_states.mark_acked(task, address, at=now, is_locked=True)
    if task.timeout_s >= ACK_RELAY_TIMEOUT_S:
        outbox.enqueue(operations.relay_ack(message, report.signature))


@transaction.atomic(savepoint=False)
def _precommit(address: str, report: PrecommitReport, now: datetime) -> None:
    task, assignment = _locked(address, report.assignment_id)
    message = Precommit(
        task.session_id,
        task.task_id,
        _digest(task),
        to_checksum_address(address),
        hash=report.hash,
    )
    _require_signed(message, report.signature, message.miner)
    if assignment.precommit_hash:
        if assignment.precommit_hash != _hex(message.hash):
            raise ReportRefused("hash: another one is precommitted, and it stays")
        return
    _require_open(assignment, AssignmentStatus.LEASED, AssignmentStatus.ACKED)
    advance(
        assignment,
        AssignmentStatus.PRECOMMITTED,
        now,
        precommit_hash=_hex(message.hash),
        precommit_signature=_hex(report.signature),
    )
    if task.status == TaskStatus.ASSIGNED:
        task_states.mark_acked(task, address, at=now, is_locked=True)
    outbox.enqueue(operations.relay_precommit(message, report.signature))
    notify("miner_free")
    transaction.on_commit(lambda: first_tokens.note(task, assignment, now), robust=True)


@transaction.atomic(savepoint=False)
def _commit(address: str, report: CommitReport, now: datetime) -> None:
    task, assignment = _locked(address, report.assignment_id)
    miner = to_checksum_address(address)
    message = Commit(task.session_id, task.task_id, _digest(task), miner, report.data)
    _require_signed(message, report.signature, message.miner)
    if assignment.status in _REVEALED:
        return
    _require_precommitted(task, assignment, report)
    on_chain = _require_precommits_over(task)
    advance(
        assignment,
        AssignmentStatus.REVEALED,
        now,
        commit_data=report.data,
        commit_signature=_hex(report.signature),
        content_cid=raw_cid(report.content.encode()),
    )
    outbox.enqueue(operations.relay_commit(message, report.signature))
    ask_validation_of(task, on_chain)


@transaction.atomic(savepoint=False)
def _failed(address: str, report: FailedReport, now: datetime) -> None:
    task, assignment = _locked(address, report.assignment_id)
    if report.code == NODE_DIED:
        node_deaths.count(assignment, report.attempt)
        return
    if assignment.status == AssignmentStatus.FAILED:
        return
    _require_open(
        assignment,
        AssignmentStatus.LEASED,
        AssignmentStatus.ACKED,
        AssignmentStatus.PRECOMMITTED,
    )
    # The miner's message about an encrypted task might contain parts of the task's content.
    code = _storable(report.code)[:64]
    text = "" if task.encrypted else _storable(report.message)[:500]
    advance(assignment, AssignmentStatus.FAILED, now, failure_code=code, failure_message=text)
    logger.warning("%s gave up: %s: %s", assignment, code, text)
    others = task.assignments.in_place().exclude(status=AssignmentStatus.FAILED)
    if code in HOPELESS_CODES and not others.exists():
        task_states.mark_failed(task, code, f"no miner can run this task: {text}", at=now)
    notify("miner_free")


def _storable(text: str) -> str:
    return text.replace("\x00", "\ufffd")  # PostgreSQL cannot store NUL characters


def _known_key(text: str) -> str:
    """Return a miner's public key, or "" if it is invalid: the miner gets no encrypted tasks."""
    try:
        read_public_key(text)
    except InvalidKey:
        return ""
    return text


def _require_sealed(task: Task, content: bytes) -> None:
    """Refuse a result in clear of an encrypted task, so that it is not stored."""
    try:
        encryption.unseal(task, Role.RESULT, content)
    except EnvelopeError as error:
        raise ReportRefused(f"content: the task is encrypted: {error}") from error


def _locked(address: str, assignment_id: str) -> tuple[Task, Assignment]:
    """Lock and return a task and its assignment, the task first as everywhere."""
    key = UUID(assignment_id)
    task = (
        Task.objects.select_for_update(of=("self",))
        .filter(assignments__pk=key, assignments__miner=address)
        .first()
    )
    if task is None:
        raise _not_this_miners(assignment_id)
    return task, Assignment.objects.select_for_update().get(pk=key)


def _find(address: str, assignment_id: str) -> tuple[Task, Assignment]:
    """Return a task and its assignment without locking them."""
    found = Assignment.objects.select_related("task").filter(pk=UUID(assignment_id), miner=address)
    assignment = found.first()
    if assignment is None:
        raise _not_this_miners(assignment_id)
    return assignment.task, assignment


def _not_this_miners(assignment_id: str) -> ReportRefused:
    return ReportRefused(f"assignment_id: {assignment_id} is not one of this miner's")


def _require_open(assignment: Assignment, *statuses: AssignmentStatus) -> None:
    if assignment.status not in statuses:
        raise ReportRefused(
            f"{assignment} is {assignment.status}: this comes too early or too late"
        )


def _require_precommitted(task: Task, assignment: Assignment, report: CommitReport) -> None:
    """Refuse a reveal that differs from what the miner has precommitted."""
    _require_open(assignment, AssignmentStatus.PRECOMMITTED)
    miner = to_checksum_address(assignment.miner)
    hashed = commit_hash(task.session_id, task.task_id, miner, report.data)
    if _hex(hashed) != assignment.precommit_hash:
        raise ReportRefused("data: its hash is not the one that was precommitted")
    if report.data not in (raw_address(report.content.encode()), report.content):
        raise ReportRefused("content: data is neither it nor its address")


def _require_precommits_over(task: Task) -> OnChainTask:
    on_chain = OnChainTask.objects.filter(session_id=task.session_id, task_id=task.task_id)
    row = on_chain.filter(precommit_ended_at__isnull=False).first()
    if row is None:
        raise ReportRefused("the precommit phase is not over; reveal when asked to")
    return row


def _require_signed(
    message: Any, signature: bytes, miner: str, contract: str = "SessionQueue"
) -> None:
    network = deployment()
    domain = SigningDomain(network.chain_id, network.addresses[contract])
    try:
        signer = recover(message, domain, signature)
    except InvalidSignature as error:
        raise ReportRefused(str(error)) from error
    if signer != miner:
        raise ReportRefused(f"signature: by {signer}, not by the mailbox's owner {miner}")


def _digest(task: Task) -> bytes:
    return bytes.fromhex(task.task_digest.removeprefix("0x"))


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
