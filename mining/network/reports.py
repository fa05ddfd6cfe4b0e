"""Checks the reports of idle nodes, and passes them to the outbox.

Nodes are not trusted. The router pays for relaying, so it relays only what it has asked that node
for, signed by that node. Each report is handled in one transaction. A repeated report has no
effect, since the operation has the same key.
"""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from eth_utils.address import to_checksum_address

from chain import network_operations as operations
from chain.deployed.contracts import deployment
from chain.operations import Op
from chain.protocol.messages import InvalidSignature, SigningDomain, recover
from chain.protocol.network_messages import (
    NetworkCommit,
    NetworkCreate,
    NetworkMessage,
    NetworkPrecommit,
    NetworkPrepare,
    Ping,
)
from chain.sending import outbox
from mining.errors import ReportRefused
from mining.models import NetworkAsk
from mining.node.network.job import (
    NETWORK_REPORTS,
    NetworkCommitReport,
    NetworkCreateReport,
    NetworkDeclinedReport,
    NetworkPingReport,
    NetworkPrecommitReport,
    NetworkPrepareReport,
    NetworkReport,
    Stage,
)
from mining.node.protocol.wire import read_entry

PING_LIFETIME_S = 120
"""How long NodeRoll accepts a signed ping."""


def is_network_report(entry: Mapping[str, str]) -> bool:
    """Tell whether an entry of a mailbox's reports is about network tasks."""
    return entry.get("type", "").startswith("network_")


@transaction.atomic
def accept(address: str, entry: Mapping[str, str], now: datetime) -> None:
    """Accept a report on a network task from the owner of a mailbox.

    Args:
        address: the mailbox's owner.
        entry: the entry of the reports stream.
        now: the time of the report's arrival.

    Raises:
        Malformed: the entry is not a valid report.
        ReportRefused: the node was not asked for this, or has not signed it.
    """
    report = read_entry(entry, NETWORK_REPORTS)
    ask = _asked(address, report)
    if isinstance(report, NetworkDeclinedReport):
        ask.declined = report.code[:64].replace("\x00", "")
    else:
        message, op = _relayed(to_checksum_address(address), report)
        _require_signed(message, report.signature, address)
        outbox.enqueue(op)
        ask.declined = ""
    ask.answered_at = now
    ask.save(update_fields=["answered_at", "declined"])


def _asked(address: str, report: NetworkReport) -> NetworkAsk:
    stage, number, seed = _identity(report)
    ask = (
        NetworkAsk.objects.select_for_update()
        .filter(node=address.lower(), stage=stage, number=number, seed=seed)
        .first()
    )
    if ask is None:
        raise ReportRefused(f"{stage} of network task {number}: this node was not asked for it")
    if stage == Stage.PING and ask.answered_at is not None and ask.answered_at >= ask.asked_at:
        raise ReportRefused("ping: the node has answered the last request already")
    return ask


def _identity(report: NetworkReport) -> tuple[str, int, int]:
    match report:
        case NetworkPingReport():
            return Stage.PING, 0, 0
        case NetworkCreateReport():
            return Stage.CREATE, report.number, report.seed
        case NetworkPrepareReport():
            return Stage.PREPARE, report.number, report.seed
        case NetworkPrecommitReport():
            return Stage.COMPLETE, report.number, report.seed
        case NetworkCommitReport():
            return Stage.REVEAL, report.number, report.seed
        case NetworkDeclinedReport():
            return report.stage, report.number, report.seed


def _relayed(miner: str, report: NetworkReport) -> tuple[NetworkMessage, Op]:
    """Return the message that a report must be signed over, and the operation that relays it."""
    match report:
        case NetworkPingReport():
            if not 0 <= time.time() - report.time < PING_LIFETIME_S:
                raise ReportRefused("time: the ping is too old or lies in the future")
            ping = Ping(miner, report.time)
            return ping, operations.relay_ping(ping, report.signature)
        case NetworkCreateReport():
            create = NetworkCreate(report.number, report.seed, report.domain, report.subdomain)
            return create, operations.create_network_task(create, report.signature)
        case NetworkPrepareReport():
            prepare = NetworkPrepare(report.number, report.seed, tuple(report.challenges))
            return prepare, operations.prepare_network_task(prepare, miner, report.signature)
        case NetworkPrecommitReport():
            precommit = NetworkPrecommit(report.number, report.seed, report.hash)
            return precommit, operations.network_precommit(precommit, miner, report.signature)
        case NetworkCommitReport():
            commit = NetworkCommit(report.number, report.seed, report.completion, report.salt)
            return commit, operations.network_commit(commit, miner, report.signature)
        case NetworkDeclinedReport():
            raise TypeError("a declined part is not relayed")


def _require_signed(message: NetworkMessage, signature: bytes, address: str) -> None:
    network = deployment()
    domain = SigningDomain(network.chain_id, network.addresses["Cognitive"])
    try:
        signer: Any = recover(message, domain, signature)
    except InvalidSignature as error:
        raise ReportRefused(str(error)) from error
    if signer.lower() != address.lower():
        raise ReportRefused(f"signature: by {signer}, not by the mailbox's owner {address}")
