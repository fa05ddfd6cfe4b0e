"""Pieces of work that fail by themselves, for the operator to see."""

from django.db import models
from django.utils import timezone


class Fault(models.Model):
    """A piece of a process's work that failed and is tried again later. It stops no other piece.

    The row goes when the work succeeds. It holds no text of the failed work: where the error was
    raised is enough to find the whole of it in the log.
    """

    process = models.CharField(max_length=32)
    item = models.CharField(max_length=200, help_text="what the work was about")
    error = models.CharField(max_length=64, help_text="the exception's type")
    place = models.CharField(max_length=200, help_text="where it was raised")
    count = models.PositiveIntegerField(default=1, help_text="how often, one after another")
    first_at = models.DateTimeField(default=timezone.now)
    last_at = models.DateTimeField(default=timezone.now)

    objects: models.Manager["Fault"] = models.Manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["process", "item"], name="fault_identity"),
        ]
        indexes = [models.Index(fields=["last_at"], name="fault_last")]

    def __str__(self) -> str:
        return f"{self.process}: {self.item}: {self.error}"
