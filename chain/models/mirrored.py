"""What marks a table as part of the mirror."""

from django.apps import apps
from django.db import models


class Mirrored(models.Model):
    """Base of a table that only projections write: it can be dropped and rebuilt from events.

    Nothing refers to its rows by a foreign key, since a rebuild deletes them all.
    """

    class Meta:
        abstract = True


def mirrored_models() -> list[type[Mirrored]]:
    """Every model of the mirror."""
    return [model for model in apps.get_models() if issubclass(model, Mirrored)]
