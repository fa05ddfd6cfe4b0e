"""Undoes batches of the mirror. The cost depends only on the number of rows that they changed.

For each batch near the head, the rows that it changes are saved first (`BeforeImage`). No rows are
saved for batches deeper than forks are expected to reach. Undoing those takes a rebuild from all
events.
"""

import itertools
import json
from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DatabaseError, connection, models, transaction

from chain.mirror.upserts import Table
from chain.models import BeforeImage, StoredBatch

UNDO_BLOCKS = 128
"""Batches that end at most this many blocks below the head can be undone."""


def remember(first_block: int, last_block: int, head: int, tables: Sequence[Table]) -> None:
    """Save the current rows of `tables`, and delete images that are too old to be needed.

    Call it before the tables are written, in the same transaction.
    """
    StoredBatch.objects.filter(last_block__lt=head - UNDO_BLOCKS).delete()
    if last_block < head - UNDO_BLOCKS:
        return
    batch = StoredBatch.objects.create(first_block=first_block, last_block=last_block)
    for table in tables:
        _remember(batch, table)


def go_back_before(first_orphan: int, cursor: int) -> int | None:
    """Undo every batch with a block from `first_orphan` on, in the caller's transaction.

    Args:
        cursor: the number of the last stored block.

    Return the first block that the mirror does not contain any more: `first_orphan`, or a block
    below it. Return None if the batches cannot be undone; then nothing has changed.
    """
    batches = list(StoredBatch.objects.filter(last_block__gte=first_orphan).order_by("-last_block"))
    if not _covers(batches, first_orphan, cursor):
        return None
    try:
        with transaction.atomic():
            for batch in batches:
                for image in batch.images.order_by("-id").values_list("id", "model", "key"):
                    _restore(*image)
    except DatabaseError:
        return None  # the schema has changed since the images were saved
    StoredBatch.objects.filter(pk__in=[batch.pk for batch in batches]).delete()
    return batches[-1].first_block


def forget() -> None:
    """Delete all images. Needed when the mirror is rebuilt."""
    StoredBatch.objects.all().delete()


def _covers(batches: Sequence[StoredBatch], first_orphan: int, cursor: int) -> bool:
    """Return whether these batches, highest first, cover `first_orphan` to `cursor`."""
    if not batches or batches[-1].first_block > first_orphan or batches[0].last_block != cursor:
        return False
    return all(
        below.last_block + 1 == above.first_block for above, below in itertools.pairwise(batches)
    )


def _remember(batch: StoredBatch, table: Table) -> None:
    columns = {column.name: column for column in table.model._meta.concrete_fields}
    key = [str(columns[name].column) for name in table.key]
    keys = [
        {
            str(columns[name].column): columns[name].get_db_prep_save(row.key[name], connection)
            for name in table.key
        }
        for row in table.rows
    ]
    name, label = _quoted(table.model), table.model._meta.label
    image = BeforeImage._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {image} (batch_id, model, key, keys, rows)"  # noqa: S608 - our names
            " SELECT %s, %s, %s::jsonb, %s::jsonb, COALESCE(jsonb_agg(to_jsonb(t)), '[]')"
            f" FROM {name} t JOIN jsonb_populate_recordset(NULL::{name}, %s::jsonb) k"
            f" ON {_same(key)}",
            [batch.pk, label, json.dumps(key), *[json.dumps(keys, cls=DjangoJSONEncoder)] * 2],
        )


def _restore(image_id: int, label: str, key: Sequence[str]) -> None:
    table, image = _quoted(apps.get_model(label)), BeforeImage._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {table} t USING {image} i,"  # noqa: S608 - names of our models
            f" jsonb_populate_recordset(NULL::{table}, i.keys) k WHERE i.id = %s AND {_same(key)}",
            [image_id],
        )
        cursor.execute(
            f"INSERT INTO {table} SELECT r.* FROM {image} i,"  # noqa: S608 - names of our models
            f" jsonb_populate_recordset(NULL::{table}, i.rows) r WHERE i.id = %s",
            [image_id],
        )


def _same(key: Sequence[str]) -> str:
    quote = connection.ops.quote_name
    return " AND ".join(f"t.{quote(name)} = k.{quote(name)}" for name in key)


def _quoted(model: type[models.Model]) -> Any:
    return connection.ops.quote_name(model._meta.db_table)
