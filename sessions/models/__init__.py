"""The rows of sessions: mirrors of the chain, and what the chain does not hold."""

from sessions.models.api_key import ApiKey
from sessions.models.fields import AddressField, Uint256Field
from sessions.models.session import (
    WEI_PER_COR,
    ModelPrice,
    Session,
    SessionLane,
    SessionRouter,
    SessionState,
)
from sessions.models.task import (
    OnChainStatus,
    OnChainTask,
    Task,
    TaskOrigin,
    TaskQuerySet,
    TaskStatus,
)

__all__ = [
    "WEI_PER_COR",
    "AddressField",
    "ApiKey",
    "ModelPrice",
    "OnChainStatus",
    "OnChainTask",
    "Session",
    "SessionLane",
    "SessionRouter",
    "SessionState",
    "Task",
    "TaskOrigin",
    "TaskQuerySet",
    "TaskStatus",
    "Uint256Field",
]
