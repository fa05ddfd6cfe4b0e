"""Whether the mirror is what its events make of it, and whether the events are the chain's."""

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
"""Differences of one table that are spelled out."""
_IDENTITY = ("block_hash", "log_index")


def differences_from_events() -> list[str]:
    """How the mirror differs from what its stored events make; empty where it does not.

    Nothing is changed: the other mirror is made in temporary tables, out of one snapshot.
    """
    with _beside(mirrored_models()):
        projections.rebuild(blocks.stored_events())
        return _differences_of_mirrors()


def differences_from_chain(node: Node, deployment: Deployment, progress: Progress) -> list[str]:
    """How blocks, events and mirror differ from those that are fetched anew, up to the cursor.

    Raises RpcError.
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
                f"Block {cursor.number}: {cursor.hash} is stored, the chain has"
                f" {last.hash if last else 'none'}"
            )
        return [*found, *_differences_of(Event, _IDENTITY), *_differences_of_mirrors()]


@contextmanager
def _beside(tables: Sequence[type[models.Model]]) -> Iterator[Block | None]:
    """Empty temporary tables in place of these, for one transaction that leaves nothing behind.

    PostgreSQL looks for a table among the temporary ones first. Gives the real cursor.
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
    """The columns that tell rows apart, whichever of them holds the table's running number."""
    if not isinstance(model._meta.pk, models.AutoField):
        return (str(model._meta.pk.column),)
    [unique] = [
        rule
        for rule in model._meta.constraints
        if isinstance(rule, models.UniqueConstraint) and not rule.condition
    ]
    return tuple(str(model._meta.get_field(name).column) for name in unique.fields)  # type: ignore[union-attr]


def _differences_of(model: type[models.Model], key: tuple[str, ...]) -> list[str]:
    """Rows of the real table beside those of the temporary one."""
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
    lines = [_told(model, key, columns, is_one, ought) for is_one, ought in found[:SHOWN_AT_MOST]]
    if len(found) > SHOWN_AT_MOST:
        lines.append(f"{model.__name__}: {len(found) - SHOWN_AT_MOST} more rows differ")
    return lines


def _told(
    model: type[models.Model],
    key: tuple[str, ...],
    columns: list[str],
    stored: str | None,
    expected: str | None,
) -> str:
    is_one = json.loads(stored) if stored else None
    ought = json.loads(expected) if expected else None
    name = ", ".join(f"{column}={(is_one or ought or {})[column]}" for column in key)
    if ought is None:
        return f"{model.__name__} {name}: is stored, and ought not to be"
    if is_one is None:
        return f"{model.__name__} {name}: is missing"
    unlike = [
        f"{column} is {is_one[column]!r}, ought to be {ought[column]!r}"
        for column in columns
        if is_one[column] != ought[column]
    ]
    return f"{model.__name__} {name}: {'; '.join(unlike)}"
