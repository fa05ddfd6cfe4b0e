"""Projections of the chain's events onto `Node` and `MinerResult`."""

from collections.abc import Sequence
from typing import Any

from chain.mirror.projections import Change, Upsert, projection
from chain.mirror.records import EventRecord
from chain.protocol.marks import read_change, read_mark, read_payment
from mining.models import MinerResult, Node


@projection("NodePool", "NodeRegistered")
def node_registered(event: EventRecord) -> Sequence[Change]:
    values = {"operator": event.args["operator"].lower(), "registered_at": event.timestamp}
    return [_node(event.args["node"], set=values)]


@projection("NodePool", "NodeStateChanged")
def node_state_changed(event: EventRecord) -> Sequence[Change]:
    return [_node(event.args["node"], set={"state": event.args["state"]})]


@projection("NodePool", "NodeReputationsChanged")
def node_reputations_changed(event: EventRecord) -> Sequence[Change]:
    changes = map(read_change, event.args["changes"])
    return [_node(change.node, set={"reputation": change.reputation}) for change in changes]


@projection("SessionPayment", "TaskSettled")
def task_settled(event: EventRecord) -> Sequence[Change]:
    changes: list[Change] = []
    for payment in map(read_payment, event.args["payments"]):
        amount_wei = payment.amount_wei
        if amount_wei == 0:
            continue
        values = {"payment_tx": event.tx_hash}
        changes += [
            _node(payment.node, add={"earned_wei": amount_wei}),
            _result_of(event, payment.node, set=values, add={"paid_wei": amount_wei}),
        ]
    return changes


@projection("SessionPayment", "NodeWithdrawn")
def node_withdrawn(event: EventRecord) -> Sequence[Change]:
    return [_node(event.args["node"], add={"withdrawn_wei": event.args["amount"]})]


@projection("SessionQueue", "TaskAssigned")
def task_assigned(event: EventRecord) -> Sequence[Change]:
    return [
        _result_of(event, miner, set={"assigned_at": event.timestamp})
        for miner in event.args["miners"]
    ]


@projection("SessionQueue", "TaskMinerReplaced")
def task_miner_replaced(event: EventRecord) -> Sequence[Change]:
    return [
        _result(event, "late", set={"replaced_at": event.timestamp}),
        _result(event, "replacement", set={"assigned_at": event.timestamp}),
    ]


@projection("SessionQueue", "TaskAcked")
def task_acked(event: EventRecord) -> Sequence[Change]:
    return [_result(event, "miner", set={"acked_at": event.timestamp, "ack_tx": event.tx_hash})]


@projection("SessionQueue", "TaskPrecommitted")
def task_precommitted(event: EventRecord) -> Sequence[Change]:
    values = {"precommit_at": event.timestamp, "precommit_tx": event.tx_hash}
    return [_result(event, "miner", set=values)]


@projection("SessionQueue", "TaskCommitted")
def task_committed(event: EventRecord) -> Sequence[Change]:
    values = {"commit_at": event.timestamp, "commit_tx": event.tx_hash}
    return [_result(event, "miner", set=values)]


@projection("SessionQueue", "TaskVerdict")
def task_verdict(event: EventRecord) -> Sequence[Change]:
    changes: list[Change] = []
    for mark in map(read_mark, event.args["marks"]):
        values = {
            "judged_at": event.timestamp,
            "verdict_tx": event.tx_hash,
            "accuracy_bps": mark.accuracy_bps,
            "input_tokens": event.args["inputTokens"],
            "output_tokens": mark.output_tokens,
        }
        changes += [
            _result_of(event, mark.miner, set=values),
            _node(mark.miner, set={"reputation": mark.reputation}),
        ]
    return changes


def _node(address: str, **changes: dict[str, Any]) -> Upsert:
    return Upsert(Node, key={"address": address.lower()}, **changes)


def _result(event: EventRecord, role: str, **changes: dict[str, Any]) -> Upsert:
    return _result_of(event, event.args[role], **changes)


def _result_of(event: EventRecord, miner: str, **changes: dict[str, Any]) -> Upsert:
    key = {
        "session_id": event.args["sessionId"],
        "task_id": event.args["taskId"],
        "miner": miner.lower(),
    }
    return Upsert(MinerResult, key=key, **changes)
