"""The models of sessions: mirrors of the chain, and data that the chain does not hold."""

from sessions.models.api_key import ApiKey, Scope
from sessions.models.fields import AddressField, Uint256Field
from sessions.models.nonce import SpentNonce
from sessions.models.payment import Payment, PaymentStatus
from sessions.models.session import (
    WEI_PER_COR,
    ModelPrice,
    Session,
    SessionLane,
    SessionMode,
    SessionNode,
    SessionRouter,
    SessionState,
)
from sessions.models.submission import DirectSubmission
from sessions.models.task import (
    OnChainStatus,
    OnChainTask,
    Task,
    TaskOrigin,
    TaskQuerySet,
    TaskStatus,
    numbered,
)
from sessions.models.webhook import (
    DeliveryStatus,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
)

__all__ = [
    "WEI_PER_COR",
    "AddressField",
    "ApiKey",
    "DeliveryStatus",
    "DirectSubmission",
    "ModelPrice",
    "OnChainStatus",
    "OnChainTask",
    "Payment",
    "PaymentStatus",
    "Scope",
    "Session",
    "SessionLane",
    "SessionMode",
    "SessionNode",
    "SessionRouter",
    "SessionState",
    "SpentNonce",
    "Task",
    "TaskOrigin",
    "TaskQuerySet",
    "TaskStatus",
    "Uint256Field",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookEvent",
    "numbered",
]
