"""The outbox: operations on the chain, written in the transaction that makes them necessary."""

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Any

from django.db import connection, transaction
from django.db.models import Field
from django.utils import timezone

from chain.models import Operation, OperationStatus
from chain.operations import Op
from chain.wakeup import notify

CHANNEL = "outbox"
REOPEN_AFTER_S = 10
"""A failed operation that is enqueued again is not tried at once, lest it fail in a tight loop."""


def enqueue(op: Op, *others: str) -> None:
    """Have the sender do an operation, once the caller's transaction is committed.

    Idempotent by the operation's key: what waits, is under way or done is left alone. One that
    has failed is tried again after a while.

    Args:
        others: channels to wake beside the sender's, if the operation is new.
    """
    if not _add(op, [CHANNEL, *others]):
        with transaction.atomic():
            if _reopen(op):
                notify(CHANNEL)


def _add(op: Op, channels: Sequence[str]) -> bool:
    """Write a new operation down and wake who listens; False if its key is known.

    One statement: every stage of every task comes here, with its client waiting.
    """
    fields, statement = _insertion(len(channels))
    row = Operation(kind=op.kind, key=op.key, payload=op.payload)
    values = [field.get_db_prep_save(field.pre_save(row, True), connection) for field in fields]
    with connection.cursor() as cursor:
        cursor.execute(statement, [*values, *channels])
        return cursor.fetchone() is not None


@cache
def _insertion(channels: int) -> "tuple[list[Field[Any, Any]], str]":
    """The columns of a new operation, and the statement that wants them and so many channels."""
    fields = [field for field in Operation._meta.local_concrete_fields if not field.primary_key]
    names = ", ".join(connection.ops.quote_name(str(field.column)) for field in fields)
    wake = ", ".join(["pg_notify(%s, '')"] * channels)
    return fields, (
        f"WITH added AS (INSERT INTO {Operation._meta.db_table} ({names})"  # noqa: S608 - our names
        f" VALUES ({', '.join(['%s'] * len(fields))})"
        f" ON CONFLICT (key) DO NOTHING RETURNING 1) SELECT {wake} FROM added"
    )


def _reopen(op: Op) -> bool:
    reopened = Operation.objects.filter(key=op.key, status=OperationStatus.FAILED).update(
        status=OperationStatus.PENDING,
        payload=op.payload,
        error="",
        attempts=0,
        alone=False,
        transaction=None,
        due_at=timezone.now() + timedelta(seconds=REOPEN_AFTER_S),
    )
    return bool(reopened)
