"""Grouping of operations into transactions. Pure."""

from collections.abc import Iterable

from chain.models import Operation
from chain.operations import OperationKind
from chain.sending.calls import RELAYS

MAX_OPERATIONS = 50
"""The most operations in one transaction.

A transaction's fixed cost is about 47,000 gas (contracts/gas), so with fifty operations each one
pays less than 1,000 of it. Larger batches would save at most 2 %, and more operations would have
to be repeated when one of them makes the transaction revert.
"""
MAX_GAS = 12_000_000
"""Below Ethereum's limit for one transaction (2^24), so that the block has room for others."""
MAX_BYTES = 90_000
"""Nodes do not relay transactions of 128 KiB."""
BASE_GAS = 100_000
_OPERATION_BYTES = 600

_RANK = {kind: rank for rank, kind in enumerate(OperationKind)}


def batches(operations: Iterable[Operation]) -> list[list[Operation]]:
    """Group operations by kind, in the order in which kinds depend on each other.

    Operations of one kind keep their order. An operation from a batch that reverted gets a batch of
    its own (`Operation.alone`).
    """
    grouped: list[list[Operation]] = []
    for operation in sorted(operations, key=lambda operation: _RANK[_kind(operation)]):
        if not grouped or not _fits(grouped[-1], operation):
            grouped.append([])
        grouped[-1].append(operation)
    return grouped


def gas_limit(batch: list[Operation]) -> int:
    """Return the gas limit of a batch's transaction.

    For an operation that is sent alone, the limit doubles with each attempt.
    """
    wanted = sum(_gas(operation) for operation in batch)
    if batch[0].alone:
        wanted <<= batch[0].attempts
    return BASE_GAS + min(wanted, MAX_GAS)


def _fits(batch: list[Operation], operation: Operation) -> bool:
    first = batch[0]
    together = [*batch, operation]
    return (
        first.kind == operation.kind
        and RELAYS[_kind(operation)].is_batch
        and not first.alone
        and not operation.alone
        and len(together) <= MAX_OPERATIONS
        and sum(map(_gas, together)) <= MAX_GAS
        and sum(map(_bytes, together)) <= MAX_BYTES
    )


def _gas(operation: Operation) -> int:
    return RELAYS[_kind(operation)].gas(operation.payload)


def _bytes(operation: Operation) -> int:
    texts = (value for value in operation.payload.values() if isinstance(value, str))
    return _OPERATION_BYTES + sum(len(text.encode()) for text in texts)


def _kind(operation: Operation) -> OperationKind:
    return OperationKind(operation.kind)
