"""The rows of the chain: its blocks and events as they were read, and what is sent to it."""

from chain.models.event import Block, Event
from chain.models.operation import Operation, OperationStatus, Transaction, TransactionStatus

__all__ = [
    "Block",
    "Event",
    "Operation",
    "OperationStatus",
    "Transaction",
    "TransactionStatus",
]
