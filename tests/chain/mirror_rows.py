"""Reads the whole mirror as plain values, for comparisons."""

from typing import Any

from django.db import models, transaction

from chain.mirror import blocks
from chain.models import mirrored_models


def mirror() -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of all mirrored tables, without automatic primary keys."""
    content = {}
    for model in mirrored_models():
        names = [
            field.attname
            for field in model._meta.concrete_fields
            if not isinstance(field, models.AutoField)
        ]
        rows = model._default_manager.values_list(*names)
        content[model.__name__] = sorted(rows, key=repr)
    return content


def rebuilt_mirror() -> dict[str, list[tuple[Any, ...]]]:
    """Return the mirror that a rebuild from the stored events makes. The real mirror is kept."""
    with transaction.atomic():
        point = transaction.savepoint()
        blocks.rebuild()
        content = mirror()
        transaction.savepoint_rollback(point)
    return content
