"""The outbox: operations for the chain, stored in the transaction that makes them necessary."""

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Any

from django.db import connection, transaction
from django.db.models import Field
from django.utils import timezone

from chain.models import Operation, OperationStatus
from chain.operations import Op
from chain.postgres.wakeup import notify

CHANNEL = "outbox"
REOPEN_AFTER_S = 10
"""The pause before a failed operation that was enqueued again is sent.

It prevents an operation that always fails from running in a tight loop.
"""


def enqueue(first: Op, *others: Op, wake: Sequence[str] = ()) -> None:
    """Let the sender send operations once the caller's transaction is committed.

    The call is idempotent by the operation's key: an operation that is pending, sent or confirmed
    stays unchanged. A failed operation is sent again after `REOPEN_AFTER_S` seconds.

    Args:
        wake: channels to notify in addition to the sender's, if an operation is new.
    """
    ops = (first, *others)
    added = _add(ops, [CHANNEL, *wake])
    for op in ops:
        if op.key not in added:
            with transaction.atomic():
                if _reopen(op):
                    notify(CHANNEL)


def _add(ops: Sequence[Op], channels: Sequence[str]) -> set[str]:
    """Insert new operations and notify the channels. Return the keys of the new operations.

    One statement does both, since every stage of every task runs it while a client waits.
    """
    fields, statement = _insertion(len(ops), len(channels))
    rows = [Operation(kind=op.kind, key=op.key, payload=op.payload) for op in ops]
    values = [
        field.get_db_prep_save(field.pre_save(row, True), connection)
        for row in rows
        for field in fields
    ]
    with connection.cursor() as cursor:
        cursor.execute(statement, [*values, *channels])
        return {key for key, *_ in cursor.fetchall()}


@cache
def _insertion(ops: int, channels: int) -> "tuple[list[Field[Any, Any]], str]":
    """Return the columns of new operations, and the statement for this many rows and channels."""
    fields = [field for field in Operation._meta.local_concrete_fields if not field.primary_key]
    names = ", ".join(connection.ops.quote_name(str(field.column)) for field in fields)
    row = f"({', '.join(['%s'] * len(fields))})"
    # PostgreSQL delivers equal notifications of one transaction only once.
    notices = ", ".join(["pg_notify(%s, '')"] * channels)
    return fields, (
        f"WITH added AS (INSERT INTO {Operation._meta.db_table} ({names})"  # noqa: S608 - our names
        f" VALUES {', '.join([row] * ops)}"
        f" ON CONFLICT (key) DO NOTHING RETURNING key) SELECT key, {notices} FROM added"
    )


def _reopen(op: Op) -> bool:
    reopened = Operation.objects.filter(key=op.key, status=OperationStatus.FAILED).update(
        status=OperationStatus.PENDING,
        payload=op.payload,
        error="",
        attempts=0,
        alone=False,
        failure_told=True,
        transaction=None,
        due_at=timezone.now() + timedelta(seconds=REOPEN_AFTER_S),
    )
    return bool(reopened)
