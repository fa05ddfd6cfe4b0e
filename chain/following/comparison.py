"""Checks the mirror against the stored events, and the stored events against the chain."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import connection, models, transaction

from chain.deployed.contracts import Deployment
from chain.following.progress import Progress
from chain.following.sync import Follower
from chain.mirror import blocks, projections
from chain.models import BeforeImage, Block, Event, StoredBatch, mirrored_models
from chain.rpc.client import Node

SHOWN_AT_MOST = 20
"""The most differences of one table that are listed."""
_IDENTITY = ("block_hash", "log_index")


def differences_from_events() -> list[str]:
    """Return the differences between the mirror and a rebuild from the stored events.

    The function changes nothing. It builds the second mirror in temporary tables, from one
    snapshot of the events.
    """
    with _beside(mirrored_models()):
        projections.rebuild(blocks.stored_events())
        return _differences_of_mirrors()


def differences_from_chain(node: Node, deployment: Deployment, progress: Progress) -> list[str]:
    """Return the differences of blocks, events and mirror from a new fetch up to the cursor.

    Raises:
        RpcError: an endpoint failed.
    """
    with _beside([Block, Event, StoredBatch, BeforeImage, *mirrored_models()]) as cursor:
        if cursor is None:
            return []
        follower = Follower(node, deployment)
        while follower.step(until=cursor.number):
            progress.report(follower.position)
        found = []
        if (last := blocks.cursor()) is None or last.hash != cursor.hash:
            found.append(
                f"Block {cursor.number}: {cursor.hash} is stored, but the chain has"
                f" {last.hash if last else 'none'}"
            )
        return [*found, *_differences_of(Event, _IDENTITY), *_differences_of_mirrors()]


@contextmanager
def _beside(tables: Sequence[type[models.Model]]) -> Iterator[Block | None]:
    """Replace these tables by empty temporary tables, in a transaction that is rolled back.

    PostgreSQL finds a temporary table before a regular one of the same name. The context's value is
    the cursor of the real tables.
    """
    with transaction.atomic(), connection.cursor() as db:
        point = transaction.savepoint()
        cursor = blocks.cursor()
        for model in tables:
            name = connection.ops.quote_name(model._meta.db_table)
            db.execute(f"CREATE TEMPORARY TABLE {name} (LIKE public.{name} INCLUDING ALL)")
        try:
            yield cursor
        finally:
            transaction.savepoint_rollback(point)


def _differences_of_mirrors() -> list[str]:
    return [line for model in mirrored_models() for line in _differences_of(model, _key_of(model))]


def _key_of(model: type[models.Model]) -> tuple[str, ...]:
    """Return the columns that identify a row in both tables.

    An automatic primary key differs between the tables, so the unique constraint's columns are used
    in its place.
    """
    if not isinstance(model._meta.pk, models.AutoField):
        return (str(model._meta.pk.column),)
    [unique] = [
        rule
        for rule in model._meta.constraints
        if isinstance(rule, models.UniqueConstraint) and not rule.condition
    ]
    return tuple(str(model._meta.get_field(name).column) for name in unique.fields)  # type: ignore[union-attr]


def _differences_of(model: type[models.Model], key: tuple[str, ...]) -> list[str]:
    """Return the differences between the rows of the real and of the temporary table."""
    quote = connection.ops.quote_name
    table = quote(model._meta.db_table)
    columns = [
        str(column.column)
        for column in model._meta.concrete_fields
        if not isinstance(column, models.AutoField)
    ]
    both = " AND ".join(f"a.{quote(column)} = b.{quote(column)}" for column in key)
    unlike = " OR ".join(
        f"a.{quote(column)} IS DISTINCT FROM b.{quote(column)}" for column in columns
    )
    statement = (
        f"SELECT to_jsonb(a), to_jsonb(b) FROM public.{table} a"  # noqa: S608 - names of our models
        f" FULL JOIN pg_temp.{table} b ON {both}"
        f" WHERE a.{quote(key[0])} IS NULL OR b.{quote(key[0])} IS NULL OR {unlike}"
        f" ORDER BY {', '.join(f'COALESCE(a.{quote(c)}, b.{quote(c)})' for c in key)}"
    )
    with connection.cursor() as db:
        db.execute(statement)
        found = db.fetchall()
    lines = [
        _description(model, key, columns, stored, expected)
        for stored, expected in found[:SHOWN_AT_MOST]
    ]
    if len(found) > SHOWN_AT_MOST:
        lines.append(f"{model.__name__}: {len(found) - SHOWN_AT_MOST} more rows differ")
    return lines


def _description(
    model: type[models.Model],
    key: tuple[str, ...],
    columns: list[str],
    stored: str | None,
    expected: str | None,
) -> str:
    actual_row = json.loads(stored) if stored else None
    expected_row = json.loads(expected) if expected else None
    name = ", ".join(f"{column}={(actual_row or expected_row or {})[column]}" for column in key)
    if expected_row is None:
        return f"{model.__name__} {name}: is stored, but should not exist"
    if actual_row is None:
        return f"{model.__name__} {name}: is missing"
    unlike = [
        f"{column} is {actual_row[column]!r}, but should be {expected_row[column]!r}"
        for column in columns
        if actual_row[column] != expected_row[column]
    ]
    return f"{model.__name__} {name}: {'; '.join(unlike)}"
