"""One report of a miner: is it true, and what follows. Each is one transaction, and idempotent.

A miner is a stranger: nothing that it says is believed without its signature, and a signature only
for the assignment that it belongs to.
"""

import logging
import math
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from eth_utils.address import to_checksum_address

from chain import operations, outbox, storage
from chain.contracts import deployment
from chain.envelopes import EnvelopeError, InvalidKey, Role, read_public_key
from chain.messages import (
    Ack,
    Commit,
    InvalidSignature,
    Precommit,
    SigningDomain,
    commit_hash,
    raw_cid,
    recover,
)
from chain.wakeup import notify
from mining.assignment_states import advance
from mining.deadlines import ONLINE_S
from mining.errors import ReportRefused
from mining.models import Assignment, AssignmentStatus, MinerPresence
from mining.node.job import (
    AckReport,
    CommitReport,
    FailedReport,
    Heartbeat,
    PrecommitReport,
    Report,
)
from mining.phases import ask_validation
from sessions import encryption, task_states
from sessions.models import OnChainTask, Task, TaskStatus

ACK_RELAY_TIMEOUT_S = 300
"""Acks go on chain for tasks that may take at least this long, so that whoever waits sees there
that somebody works. For others the precommit says it soon enough, and an ack would cost gas for
nothing."""
MAX_SLOTS = 256
MAX_MODELS = 32
HOPELESS_CODES = frozenset(
    {
        *("context_exceeded", "grammar_invalid", "grammar_too_slow"),
        *("prompt_empty", "prompt_refused", "template_unusable"),
    }
)
"""Failures that the task itself is the reason of: every other miner would fail, too."""

logger = logging.getLogger(__name__)


def accept(address: str, report: Report, now: datetime) -> None:
    """Take in what the owner of a mailbox says.

    Raises:
        ReportRefused: it is untrue or comes at the wrong time, and nothing has changed.
    """
    address = address.lower()
    match report:
        case Heartbeat():
            _heartbeat(address, report, now)
        case AckReport():
            _ack(address, report, now)
        case PrecommitReport():
            _precommit(address, report, now)
        case CommitReport():
            _commit(address, report, now)
        case FailedReport():
            _failed(address, report, now)


def _heartbeat(address: str, report: Heartbeat, now: datetime) -> None:
    with transaction.atomic():
        presence, _ = MinerPresence.objects.select_for_update().get_or_create(pk=address)
        seen = presence.last_seen_at
        presence.last_seen_at = now
        presence.slots = min(max(report.slots, 0), MAX_SLOTS)
        presence.in_flight = min(max(report.in_flight, 0), MAX_SLOTS)
        presence.model_identifiers = [number for number in report.models if 0 <= number < 2**63][
            :MAX_MODELS
        ]
        presence.tokens_per_s = report.tokens_per_s if math.isfinite(report.tokens_per_s) else 0.0
        presence.software = report.software[:100]
        presence.encryption_key = _known_key(report.encryption_key)
        presence.save()
        if seen is None or (now - seen).total_seconds() > ONLINE_S:
            notify("miner_free")


@transaction.atomic
def _ack(address: str, report: AckReport, now: datetime) -> None:
    task, assignment = _locked(address, report.assignment_id)
    message = Ack(task.session_id, task.task_id, _digest(task), to_checksum_address(address))
    _require_signed(message, report.signature)
    if assignment.status != AssignmentStatus.LEASED:
        return
    advance(assignment, AssignmentStatus.ACKED, now)
    task_states.mark_acked(task, address, at=now)
    if task.timeout_s >= ACK_RELAY_TIMEOUT_S:
        outbox.enqueue(operations.relay_ack(message, report.signature))
    notify("deadlines")


@transaction.atomic
def _precommit(address: str, report: PrecommitReport, now: datetime) -> None:
    task, assignment = _locked(address, report.assignment_id)
    message = Precommit(
        *(task.session_id, task.task_id, _digest(task), to_checksum_address(address)),
        hash=report.hash,
    )
    _require_signed(message, report.signature)
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
        task_states.mark_acked(task, address, at=now)
    outbox.enqueue(operations.relay_precommit(message, report.signature))
    notify("miner_free")
    notify("deadlines")


@transaction.atomic
def _commit(address: str, report: CommitReport, now: datetime) -> None:
    task, assignment = _locked(address, report.assignment_id)
    miner = to_checksum_address(address)
    message = Commit(task.session_id, task.task_id, _digest(task), miner, report.data)
    _require_signed(message, report.signature)
    if assignment.status in (AssignmentStatus.REVEALED, AssignmentStatus.JUDGED):
        return
    _require_open(assignment, AssignmentStatus.PRECOMMITTED)
    _require_precommits_over(task)
    if _hex(commit_hash(task.session_id, task.task_id, miner, report.data)) != (
        assignment.precommit_hash
    ):
        raise ReportRefused("data: its hash is not the one that was precommitted")
    content = report.content.encode()
    if report.data not in (storage.address(raw_cid(content)), report.content):
        raise ReportRefused("content: data is neither it nor its address")
    if task.encrypted:
        _require_sealed(task, content)
    advance(
        assignment,
        AssignmentStatus.REVEALED,
        now,
        commit_data=report.data,
        commit_signature=_hex(report.signature),
        content_cid=storage.put(content),
    )
    outbox.enqueue(operations.relay_commit(message, report.signature))
    ask_validation(task)


@transaction.atomic
def _failed(address: str, report: FailedReport, now: datetime) -> None:
    task, assignment = _locked(address, report.assignment_id)
    if assignment.status == AssignmentStatus.FAILED:
        return
    _require_open(
        assignment,
        *(AssignmentStatus.LEASED, AssignmentStatus.ACKED, AssignmentStatus.PRECOMMITTED),
    )
    # Whatever a miner says of an encrypted task might be its content.
    code, text = report.code[:64], "" if task.encrypted else report.message[:500]
    advance(assignment, AssignmentStatus.FAILED, now, failure_code=code, failure_message=text)
    logger.warning("%s gave up: %s: %s", assignment, code, text)
    others = task.assignments.in_place().exclude(status=AssignmentStatus.FAILED)
    if code in HOPELESS_CODES and not others.exists():
        task_states.mark_failed(task, code, f"no miner can run this task: {text}", at=now)
    notify("miner_free")
    notify("deadlines")


def _known_key(text: str) -> str:
    """A miner's public key; a miner whose key is none gets no encrypted tasks."""
    try:
        read_public_key(text)
    except InvalidKey:
        return ""
    return text


def _require_sealed(task: Task, content: bytes) -> None:
    """Nothing in clear is kept of an encrypted task, whoever sends it."""
    try:
        encryption.unseal(task, Role.RESULT, content)
    except EnvelopeError as error:
        raise ReportRefused(f"content: the task is encrypted: {error}") from error


def _locked(address: str, assignment_id: str) -> tuple[Task, Assignment]:
    """The assignment and its task, the task locked first as everywhere."""
    assignment = Assignment.objects.filter(pk=UUID(assignment_id), miner=address).first()
    if assignment is None:
        raise ReportRefused(f"assignment_id: {assignment_id} is not one of this miner's")
    task = Task.objects.select_for_update().get(pk=assignment.task_id)
    assignment = Assignment.objects.select_for_update().get(pk=assignment.pk)
    return task, assignment


def _require_open(assignment: Assignment, *statuses: AssignmentStatus) -> None:
    if assignment.status not in statuses:
        raise ReportRefused(
            f"{assignment} is {assignment.status}: this comes too early or too late"
        )


def _require_precommits_over(task: Task) -> None:
    on_chain = OnChainTask.objects.filter(session_id=task.session_id, task_id=task.task_id)
    if not on_chain.filter(precommit_ended_at__isnull=False).exists():
        raise ReportRefused("the precommit phase is not over; reveal when asked to")


def _require_signed(message: Any, signature: bytes) -> None:
    network = deployment()
    domain = SigningDomain(network.chain_id, network.addresses["SessionQueue"])
    try:
        signer = recover(message, domain, signature)
    except InvalidSignature as error:
        raise ReportRefused(str(error)) from error
    if signer != message.miner:
        raise ReportRefused(f"signature: by {signer}, not by the mailbox's owner {message.miner}")


def _digest(task: Task) -> bytes:
    return bytes.fromhex(task.task_digest.removeprefix("0x"))


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
