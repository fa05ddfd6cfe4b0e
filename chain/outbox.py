"""The outbox: operations on the chain, written in the transaction that makes them necessary."""

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from chain.models import Operation, OperationStatus
from chain.operations import Op
from chain.wakeup import notify

CHANNEL = "outbox"
REOPEN_AFTER_S = 10
"""A failed operation that is enqueued again is not tried at once, lest it fail in a tight loop."""


def enqueue(op: Op) -> None:
    """Have the sender do an operation, once the caller's transaction is committed.

    Idempotent by the operation's key: what waits, is under way or done is left alone. One that
    has failed is tried again after a while.
    """
    with transaction.atomic():
        operation, created = Operation.objects.get_or_create(
            key=op.key, defaults={"kind": op.kind, "payload": op.payload}
        )
        if not created and not _reopen(operation, op):
            return
        notify(CHANNEL)


def _reopen(operation: Operation, op: Op) -> bool:
    reopened = Operation.objects.filter(pk=operation.pk, status=OperationStatus.FAILED).update(
        status=OperationStatus.PENDING,
        payload=op.payload,
        error="",
        attempts=0,
        alone=False,
        transaction=None,
        due_at=timezone.now() + timedelta(seconds=REOPEN_AFTER_S),
    )
    return bool(reopened)
