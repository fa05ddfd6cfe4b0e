"""Models of the `chain` app: stored blocks and events, the undo log, the outbox, transactions."""

from chain.models.event import Block, Event
from chain.models.fault import Fault
from chain.models.finality import FinalBlock
from chain.models.mirrored import Mirrored, mirrored_models
from chain.models.news import NewsCursor
from chain.models.operation import (
    GasTotal,
    Operation,
    OperationStatus,
    Transaction,
    TransactionStatus,
)
from chain.models.undo import BeforeImage, StoredBatch

__all__ = [
    "BeforeImage",
    "Block",
    "Event",
    "Fault",
    "FinalBlock",
    "GasTotal",
    "Mirrored",
    "NewsCursor",
    "Operation",
    "OperationStatus",
    "StoredBatch",
    "Transaction",
    "TransactionStatus",
    "mirrored_models",
]
