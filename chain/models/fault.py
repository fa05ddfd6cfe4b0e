"""Failed pieces of work, shown to the operator."""

from django.db import models
from django.utils import timezone


class Fault(models.Model):
    """A piece of a process's work that has failed and will be tried again.

    Other pieces of work go on. The row is deleted when the work succeeds. It contains no text of
    the failed work: the place of the error is enough to find the traceback in the log.
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
