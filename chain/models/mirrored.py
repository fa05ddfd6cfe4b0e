"""The base class of the mirror's models."""

from django.apps import apps
from django.db import models


class Mirrored(models.Model):
    """Base class of models that only projections write.

    Their tables can be emptied and rebuilt from events. No foreign key refers to their rows, since
    a rebuild deletes all of them.
    """

    class Meta:
        abstract = True


def mirrored_models() -> list[type[Mirrored]]:
    """Return all models of the mirror."""
    return [model for model in apps.get_models() if issubclass(model, Mirrored)]
