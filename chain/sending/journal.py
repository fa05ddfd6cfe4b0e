"""Records what happens to transactions and to the operations in them.

No other module writes transactions. Operations are also written by `chain.sending.outbox`, which
adds new ones and reopens failed ones. Each function is one database transaction and can be
repeated safely.
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
"""The channel that is notified when the chain has decided on operations."""
MAX_ATTEMPTS = 5
FIRST_PAUSE_S = 1.0
"""The pause before the second attempt. It doubles before each further attempt."""
FINAL_DEPTH = 64
"""The depth in blocks at which a transaction counts as final: no fork is expected to undo it."""

OPEN = (TransactionStatus.SIGNED, TransactionStatus.SENT)

_NEXT: dict[TransactionStatus, set[TransactionStatus]] = {
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
    """A transaction cannot change from its status to the requested one."""


@transaction.atomic
def record_signed(
    row: Transaction, operations: Sequence[Operation], counted: int, sign: Callable[[], Signed]
) -> bool:
    """Give a new transaction its nonce, and store it with its operations before it is broadcast.

    Only this function assigns nonces, under a lock on the account. Each nonce is therefore
    assigned once and without a gap.

    Args:
        counted: the number of the account's transactions that a node knows, including pending ones.
            A node that lags may not know our latest ones.
        sign: signs the row; called after the row has its nonce.

    Return False if another sender has taken one of the operations in the meantime.
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


@transaction.atomic
def record_unsendable(operation: Operation, reason: str) -> None:
    """No call can be made of an operation: it fails for good, as if the chain had refused it."""
    failed = Operation.objects.filter(pk=operation.pk, status=OperationStatus.PENDING).update(
        status=OperationStatus.FAILED, error=reason, failure_told=False
    )
    if failed:
        notify(CHANNEL)


def record_replacement(row: Transaction, signed: Signed, fees: Fees) -> None:
    """Store the replacement of a stuck transaction, with the same nonce, before it is broadcast."""
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
    """Record that a node has accepted the transaction."""
    _step(row, TransactionStatus.SENT, sent_at=timezone.now(), sent_block=head)


@transaction.atomic
def record_mined(
    row: Transaction, receipt: Mapping[str, Any], refusals: Mapping[int, Refusal] | Refusal | None
) -> None:
    """Record that the transaction is in a block, and settle its operations.

    Args:
        refusals: the refusals of skipped elements by index, or one Refusal if the whole transaction
            reverted.
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
        # If a batch reverts as a whole, its operations are sent again one by one. Only these
        # attempts show which operation caused the revert.
        shared = not succeeded and len(operations) > 1
        meaning = (
            None if refusal is None else Meaning.TRY_AGAIN if shared else meaning_of(kind, refusal)
        )
        _settle(operation, meaning, refusal, alone=not succeeded, at_once=shared)
        if refusal is not None:
            unlike.append(operation)
    if len(unlike) < len(operations):  # most operations succeed: one statement confirms them all
        done = row.operations.exclude(pk__in=[operation.pk for operation in unlike])
        done.update(status=OperationStatus.CONFIRMED, error="")
    if unlike:
        fields = ["status", "error", "attempts", "due_at", "transaction", "alone", "failure_told"]
        Operation.objects.bulk_update(unlike, fields)
    notify(CHANNEL)


@transaction.atomic
def record_vanished(row: Transaction) -> None:
    """Record that a fork has undone the transaction, so that it is broadcast again."""
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
    """Record that another program's transaction used the nonce. The operations become pending."""
    _step(row, TransactionStatus.DROPPED)
    row.operations.update(status=OperationStatus.PENDING, transaction=None)


def record_final(head: int) -> None:
    """Mark mined transactions as final that are `FINAL_DEPTH` blocks below the head."""
    Transaction.objects.filter(
        status=TransactionStatus.MINED, block_number__lte=head - FINAL_DEPTH
    ).update(status=TransactionStatus.FINAL)


def untold_failures() -> QuerySet[Operation]:
    """Return failed operations whose failure has not been handled yet, the oldest first.

    The code that handles a failure calls `mark_told` in the same transaction as its own changes.
    A crash therefore loses no failure.
    """
    return Operation.objects.filter(failure_told=False).order_by("pk")


def mark_told(operation: Operation) -> None:
    """Mark this operation's failure as handled."""
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
    if status not in _NEXT[before]:
        raise ImpossibleStep(f"{row}: from {before} to {status}")
    row.status = status
    for name, value in values.items():
        setattr(row, name, value)
    row.save(update_fields=["status", *values])
