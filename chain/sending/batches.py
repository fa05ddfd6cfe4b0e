"""Which operations go into one transaction. Pure."""

from collections.abc import Iterable

from chain.models import Operation
from chain.operations import OperationKind
from chain.sending.calls import RELAYS

MAX_OPERATIONS = 50
"""A transaction's own share is about 47,000 gas (contracts/gas): of fifty, each carries less than
1,000. More of them would save 2 % at most, and lose more at once when one makes all revert."""
MAX_GAS = 12_000_000
"""Below what Ethereum accepts in one transaction (2^24), with room for others in the block."""
MAX_BYTES = 90_000
"""Nodes do not relay transactions of 128 KiB."""
BASE_GAS = 100_000
_OPERATION_BYTES = 600

_RANK = {kind: rank for rank, kind in enumerate(OperationKind)}


def batches(operations: Iterable[Operation]) -> list[list[Operation]]:
    """Group operations by kind, in the order in which kinds depend on each other.

    Within a kind the order stays. What has made a whole batch revert goes alone.
    """
    grouped: list[list[Operation]] = []
    for operation in sorted(operations, key=lambda operation: _RANK[_kind(operation)]):
        if not grouped or not _fits(grouped[-1], operation):
            grouped.append([])
        grouped[-1].append(operation)
    return grouped


def gas_limit(batch: list[Operation]) -> int:
    """The gas that a batch's transaction may use; twice as much after it was not enough."""
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
