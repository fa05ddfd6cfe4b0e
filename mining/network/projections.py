"""Projects the chain's events to the rows of network tasks: parts, points and rewards."""

from collections.abc import Sequence
from typing import Any

from chain.mirror.projections import Change, Upsert, projection
from chain.mirror.records import EventRecord
from mining.models import (
    NetworkCredit,
    NetworkEpoch,
    NetworkNode,
    NetworkPart,
    NetworkRole,
    NetworkTask,
    NetworkTaskState,
)

_CORRECTNESS = 1 << 7
"""The bit of NodeStage.Correctness in an outcome."""
_NETWORK_STAGES = (1 << 9) - 1
"""The bits of the stages of network tasks. Bit 9 stands for a user's task."""


@projection("Cognitive", "NodePinged")
def node_pinged(event: EventRecord) -> Sequence[Change]:
    return [_node(event, set={"pinged_at": event.timestamp, "pruned_at": None})]


@projection("Cognitive", "NodePruned")
def node_pruned(event: EventRecord) -> Sequence[Change]:
    return [_node(event, set={"pruned_at": event.timestamp})]


@projection("NodeStats", "OutcomeRecorded")
def outcome_recorded(event: EventRecord) -> Sequence[Change]:
    passed = event.args["passed"] & _NETWORK_STAGES
    failed = event.args["failed"] & _NETWORK_STAGES
    counted = {
        "right_answers": int(passed & _CORRECTNESS != 0),
        "wrong_answers": int(failed & _CORRECTNESS != 0),
        "missed_parts": int(failed & ~_CORRECTNESS != 0),
    }
    added = {name: count for name, count in counted.items() if count}
    return [_node(event, add=added)] if added else []


@projection("Cognitive", "SessionCreated")
def session_created(event: EventRecord) -> Sequence[Change]:
    creator = event.args["addr"].lower()
    values = {
        "state": NetworkTaskState.CREATED,
        "creator": creator,
        "created_at": event.timestamp,
    }
    return [
        _task(event, **values),
        _part(event, creator, NetworkRole.CREATOR, done_at=event.timestamp),
    ]


@projection("Cognitive", "SessionPrepareAssigned")
def prepare_assigned(event: EventRecord) -> Sequence[Change]:
    return [_part(event, event.args["addr"], NetworkRole.PREPARER, asked_at=event.timestamp)]


@projection("Cognitive", "SessionPrepared")
def session_prepared(event: EventRecord) -> Sequence[Change]:
    return [_part(event, event.args["addr"], NetworkRole.PREPARER, done_at=event.timestamp)]


@projection("Cognitive", "SessionStarted")
def session_started(event: EventRecord) -> Sequence[Change]:
    completers = [address.lower() for address in event.args["addrs"]]
    state = NetworkTaskState.STARTED
    return [
        _task(event, state=state, completers=completers, started_at=event.timestamp),
        *(
            _part(event, node, NetworkRole.COMPLETER, asked_at=event.timestamp)
            for node in completers
        ),
    ]


@projection("Cognitive", "SessionPrecommitted")
def session_precommitted(event: EventRecord) -> Sequence[Change]:
    return [_part(event, event.args["addr"], NetworkRole.COMPLETER, done_at=event.timestamp)]


@projection("Cognitive", "SessionAllPrecommitted")
def all_precommitted(event: EventRecord) -> Sequence[Change]:
    state = NetworkTaskState.PRECOMMITTED
    return [_task(event, state=state, precommitted_at=event.timestamp)]


@projection("Cognitive", "SessionCommitted")
def session_committed(event: EventRecord) -> Sequence[Change]:
    return [_part(event, event.args["addr"], NetworkRole.COMPLETER, revealed_at=event.timestamp)]


@projection("Cognitive", "SessionAllCommitted")
def all_committed(event: EventRecord) -> Sequence[Change]:
    return [_task(event, state=NetworkTaskState.COMMITTED, committed_at=event.timestamp)]


@projection("Cognitive", "SessionJudged")
def session_judged(event: EventRecord) -> Sequence[Change]:
    return [
        _task(
            event,
            validator=event.args["validator"].lower(),
            accuracies_bps=list(event.args["accuraciesBps"]),
            judged_at=event.timestamp,
            verdict_tx=event.tx_hash,
        )
    ]


@projection("Cognitive", "SessionEnded")
def session_ended(event: EventRecord) -> Sequence[Change]:
    return [_task(event, state=NetworkTaskState.ENDED, ended_at=event.timestamp)]


@projection("NetworkRewards", "EpochOpened")
def epoch_opened(event: EventRecord) -> Sequence[Change]:
    values = {"budget_wei": event.args["budget"], "opened_at": event.timestamp}
    return [_epoch(event, set=values)]


@projection("NetworkRewards", "EpochReleased")
def epoch_released(event: EventRecord) -> Sequence[Change]:
    return [_epoch(event, add={"released_wei": event.args["amount"]})]


@projection("NetworkRewards", "PointsEarned")
def points_earned(event: EventRecord) -> Sequence[Change]:
    added = {"points": event.args["points"]}
    return [_epoch(event, add=added), _credit(event, add=added)]


@projection("NetworkRewards", "RewardPaid")
def reward_paid(event: EventRecord) -> Sequence[Change]:
    added = {"paid_wei": event.args["amount"]}
    values = {"paid_at": event.timestamp, "payment_tx": event.tx_hash}
    return [_epoch(event, add=added), _credit(event, set=values, add=added)]


def _task(event: EventRecord, **values: Any) -> Upsert:
    return Upsert(NetworkTask, key={"number": event.args["id"]}, set=values)


def _part(event: EventRecord, node: str, role: NetworkRole, **values: Any) -> Upsert:
    key = {"number": event.args["id"], "node": node.lower(), "role": role}
    return Upsert(NetworkPart, key=key, set=values)


def _node(event: EventRecord, **changes: dict[str, Any]) -> Upsert:
    return Upsert(NetworkNode, key={"address": event.args["node"].lower()}, **changes)


def _epoch(event: EventRecord, **changes: dict[str, Any]) -> Upsert:
    return Upsert(NetworkEpoch, key={"number": event.args["epoch"]}, **changes)


def _credit(event: EventRecord, **changes: dict[str, Any]) -> Upsert:
    key = {"epoch": event.args["epoch"], "node": event.args["node"].lower()}
    return Upsert(NetworkCredit, key=key, **changes)
