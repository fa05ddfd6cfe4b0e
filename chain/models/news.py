"""How far a reader of the chain's news has come."""

from django.db import models


class NewsCursor(models.Model):
    """One reader's place: it has reacted to all events up to and including `block`.

    `forks` counts how often the mirror went back. A reader that has read before a fork and wants
    to move on after it is found out by this number.
    """

    reader = models.CharField(max_length=32, primary_key=True)
    block = models.BigIntegerField()
    forks = models.BigIntegerField(default=0)

    objects: models.Manager["NewsCursor"] = models.Manager()

    def __str__(self) -> str:
        return f"{self.reader} at block {self.block}"
