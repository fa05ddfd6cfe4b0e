"""The cursors of readers of stored events (`chain.following.news`)."""

from django.db import models


class NewsCursor(models.Model):
    """A reader's cursor. The reader has reacted to all events up to and including `block`.

    `forks` counts how often the mirror went back. It reveals a reader that read events before a
    fork and tries to move its cursor after it.
    """

    reader = models.CharField(max_length=32, primary_key=True)
    block = models.BigIntegerField()
    forks = models.BigIntegerField(default=0)

    objects: models.Manager["NewsCursor"] = models.Manager()

    def __str__(self) -> str:
        return f"{self.reader} at block {self.block}"
