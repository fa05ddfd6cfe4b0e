"""Models of the `mining` app: assignments, miners, validations, network tasks, and the mirror."""

from mining.models.assignment import Assignment, AssignmentStatus
from mining.models.network import (
    NetworkAsk,
    NetworkCredit,
    NetworkEpoch,
    NetworkJudgement,
    NetworkNode,
    NetworkPart,
    NetworkRole,
    NetworkTask,
    NetworkTaskState,
)
from mining.models.node import MinerPresence, MinerResult, Node, NodeState
from mining.models.validation import Validation, ValidationMethod

__all__ = [
    "Assignment",
    "AssignmentStatus",
    "MinerPresence",
    "MinerResult",
    "NetworkAsk",
    "NetworkCredit",
    "NetworkEpoch",
    "NetworkJudgement",
    "NetworkNode",
    "NetworkPart",
    "NetworkRole",
    "NetworkTask",
    "NetworkTaskState",
    "Node",
    "NodeState",
    "Validation",
    "ValidationMethod",
]
