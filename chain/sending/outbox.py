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
from chain.postgres.wakeup import notify

CHANNEL = "outbox"
REOPEN_AFTER_S = 10
"""A failed operation that is enqueued again is not tried at once, lest it fail in a tight loop."""


def enqueue(first: Op, *others: Op, wake: Sequence[str] = ()) -> None:
    """Have the sender do operations, once the caller's transaction is committed.

    Idempotent by the operation's key: what waits, is under way or done is left alone. One that
    has failed is tried again after a while.

    Args:
        wake: channels to wake beside the sender's, if an operation is new.
    """
    ops = (first, *others)
    added = _add(ops, [CHANNEL, *wake])
    for op in ops:
        if op.key not in added:
            with transaction.atomic():
                if _reopen(op):
                    notify(CHANNEL)


def _add(ops: Sequence[Op], channels: Sequence[str]) -> set[str]:
    """Write new operations down and wake who listens; the keys of those that were not known.

    One statement: every stage of every task comes here, with its client waiting.
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
    """The columns of new operations, and the statement that wants them and so many channels."""
    fields = [field for field in Operation._meta.local_concrete_fields if not field.primary_key]
    names = ", ".join(connection.ops.quote_name(str(field.column)) for field in fields)
    row = f"({', '.join(['%s'] * len(fields))})"
    notices = ", ".join(["pg_notify(%s, '')"] * channels)  # PostgreSQL tells equal ones once
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
