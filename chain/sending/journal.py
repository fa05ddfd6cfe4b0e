"""What happened to transactions and to the operations in them: the only writer of both.

Each function is one database transaction, and safe to repeat.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Max, QuerySet
from django.utils import timezone

from chain.models import GasTotal, Operation, OperationStatus, Transaction, TransactionStatus
from chain.operations import OperationKind
from chain.postgres.leadership import lock_for_transaction
from chain.postgres.wakeup import notify
from chain.sending.refusals import Meaning, Refusal, meaning_of
from chain.sending.transactions import Fees, Signed

CHANNEL = "operations"
"""Wakes whoever depends on what becomes of operations."""
MAX_ATTEMPTS = 5
FIRST_PAUSE_S = 1.0
"""Before the second attempt; doubled before each further one."""
FINAL_DEPTH = 64
"""Blocks on top of a transaction's, after which no fork is expected to undo it."""

OPEN = (TransactionStatus.SIGNED, TransactionStatus.SENT)

_WAYS: dict[TransactionStatus, set[TransactionStatus]] = {
    TransactionStatus.SIGNED: {
        TransactionStatus.SIGNED,
        TransactionStatus.SENT,
        TransactionStatus.MINED,
        TransactionStatus.DROPPED,
    },
    TransactionStatus.SENT: {
        TransactionStatus.SIGNED,
        TransactionStatus.SENT,
        TransactionStatus.MINED,
        TransactionStatus.DROPPED,
    },
    TransactionStatus.MINED: {
        TransactionStatus.SIGNED,
        TransactionStatus.MINED,
        TransactionStatus.FINAL,
    },
    TransactionStatus.FINAL: set(),
    TransactionStatus.DROPPED: set(),
}


class ImpossibleStep(RuntimeError):
    """A transaction cannot go from where it is to there."""


@transaction.atomic
def record_signed(
    row: Transaction, operations: Sequence[Operation], counted: int, sign: Callable[[], Signed]
) -> bool:
    """Give a new transaction its nonce, and keep it with its operations before anybody sees it.

    Nonces come from here alone, under a lock of the account: they are given once, without a gap.

    Args:
        counted: how many transactions of the account a node knows, waiting ones included. A node
            that lags does not know the last of ours.
        sign: called once the row has its nonce.

    Return False when another sender has taken one of the operations meanwhile.
    """
    lock_for_transaction(f"nonce:{row.account}")
    waiting = Operation.objects.select_for_update().filter(
        pk__in=[operation.pk for operation in operations], status=OperationStatus.PENDING
    )
    if len(waiting) != len(operations):
        return False
    ours = Transaction.objects.filter(
        account=row.account, status__in=[*OPEN, TransactionStatus.MINED]
    ).aggregate(highest=Max("nonce"))["highest"]
    row.nonce = counted if ours is None else max(counted, ours + 1)
    signed = sign()
    row.hash, row.raw = signed.hash, signed.raw
    row.save()
    for position, operation in enumerate(operations):
        operation.transaction = row
        operation.position = position
        operation.status = OperationStatus.SENT
    Operation.objects.bulk_update(operations, ["transaction", "position", "status"])
    return True


def record_replacement(row: Transaction, signed: Signed, fees: Fees) -> None:
    """Keep a stuck transaction's successor under the same nonce, before anybody sees it."""
    _step(
        row,
        TransactionStatus.SIGNED,
        earlier_hashes=[*row.earlier_hashes, row.hash],
        hash=signed.hash,
        raw=signed.raw,
        max_fee_wei=fees.max_wei,
        priority_fee_wei=fees.priority_wei,
    )


def record_sent(row: Transaction, head: int) -> None:
    """A node has the transaction."""
    _step(row, TransactionStatus.SENT, sent_at=timezone.now(), sent_block=head)


@transaction.atomic
def record_mined(
    row: Transaction, receipt: Mapping[str, Any], refusals: Mapping[int, Refusal] | Refusal | None
) -> None:
    """A block has the transaction.

    Args:
        refusals: those of skipped elements by place; one Refusal when all of it reverted.
    """
    succeeded = not isinstance(refusals, Refusal)
    _count_gas(row.kind, int(receipt["gasUsed"], 16) - (row.gas_used or 0))
    _step(
        row,
        TransactionStatus.MINED,
        block_number=int(receipt["blockNumber"], 16),
        block_hash=receipt["blockHash"],
        gas_used=int(receipt["gasUsed"], 16),
        succeeded=succeeded,
    )
    operations = list(row.operations.order_by("position"))
    kind = OperationKind(row.kind)
    unlike: list[Operation] = []
    for operation in operations:
        if isinstance(refusals, Refusal):
            refusal: Refusal | None = refusals
        else:
            refusal = (refusals or {}).get(operation.position)
        # When a batch reverts as a whole, only the next attempts, one by one, show whose fault
        # it is.
        shared = not succeeded and len(operations) > 1
        meaning = (
            None if refusal is None else Meaning.TRY_AGAIN if shared else meaning_of(kind, refusal)
        )
        _settle(operation, meaning, refusal, alone=not succeeded, at_once=shared)
        if refusal is not None:
            unlike.append(operation)
    if len(unlike) < len(operations):  # the most are simply done, which one statement says of all
        done = row.operations.exclude(pk__in=[operation.pk for operation in unlike])
        done.update(status=OperationStatus.CONFIRMED, error="")
    if unlike:
        fields = ["status", "error", "attempts", "due_at", "transaction", "alone", "failure_told"]
        Operation.objects.bulk_update(unlike, fields)
    notify(CHANNEL)


@transaction.atomic
def record_vanished(row: Transaction) -> None:
    """A fork has undone the transaction: it is to be broadcast again."""
    _count_gas(row.kind, -(row.gas_used or 0))
    _step(
        row,
        TransactionStatus.SIGNED,
        block_number=None,
        block_hash="",
        gas_used=None,
        succeeded=None,
    )
    row.operations.update(status=OperationStatus.SENT, error="", failure_told=True)


@transaction.atomic
def record_dropped(row: Transaction) -> None:
    """Its nonce was used by a transaction of somebody else's: the operations wait again."""
    _step(row, TransactionStatus.DROPPED)
    row.operations.update(status=OperationStatus.PENDING, transaction=None)


def record_final(head: int) -> None:
    """What is deep enough needs no more looks."""
    Transaction.objects.filter(
        status=TransactionStatus.MINED, block_number__lte=head - FINAL_DEPTH
    ).update(status=TransactionStatus.FINAL)


def untold_failures() -> QuerySet[Operation]:
    """Failed operations whose failure has not been taken note of, the oldest first.

    Whoever depends on operations looks here, and says so with `mark_told` in the transaction that
    does what follows from the failure. So a crash loses no failure.
    """
    return Operation.objects.filter(failure_told=False).order_by("pk")


def mark_told(operation: Operation) -> None:
    """All that follows from this operation's failure is done."""
    operation.failure_told = True
    operation.save(update_fields=["failure_told"])


def _settle(
    operation: Operation,
    meaning: Meaning | None,
    refusal: Refusal | None,
    *,
    alone: bool,
    at_once: bool,
) -> None:
    operation.error = "" if refusal is None else str(refusal)
    if meaning is None or meaning == Meaning.DONE:
        operation.status = OperationStatus.CONFIRMED
        return
    operation.attempts += 1
    if meaning == Meaning.REFUSED or operation.attempts >= MAX_ATTEMPTS:
        operation.status = OperationStatus.FAILED
        operation.failure_told = False
        return
    pause_s = 0.0 if at_once else FIRST_PAUSE_S * 2 ** (operation.attempts - 1)
    operation.status = OperationStatus.PENDING
    operation.transaction = None
    operation.alone = alone
    operation.due_at = timezone.now() + timedelta(seconds=pause_s)


def _count_gas(kind: str, more: int) -> None:
    if not GasTotal.objects.filter(pk=kind).update(gas_used=F("gas_used") + more):
        GasTotal.objects.create(kind=kind, gas_used=more)


def _step(row: Transaction, status: TransactionStatus, **values: Any) -> None:
    before = TransactionStatus(row.status)
    if status not in _WAYS[before]:
        raise ImpossibleStep(f"{row}: from {before} to {status}")
    row.status = status
    for name, value in values.items():
        setattr(row, name, value)
    row.save(update_fields=["status", *values])
