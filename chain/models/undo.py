"""The undo log of the mirror: rows as they were before the latest batches changed them."""

from django.db import models


class StoredBatch(models.Model):
    """Consecutive blocks near the head that were stored together and are undone together."""

    first_block = models.BigIntegerField()
    last_block = models.BigIntegerField(db_index=True)

    objects: models.Manager["StoredBatch"] = models.Manager()

    def __str__(self) -> str:
        return f"blocks {self.first_block} to {self.last_block}"


class BeforeImage(models.Model):
    """Rows of one table as they were before a batch changed them.

    `keys` has the key of each row that the batch created or changed. `rows` has the complete rows
    that existed before. PostgreSQL writes and reads both as JSON, which keeps numbers exact.
    """

    batch = models.ForeignKey(StoredBatch, on_delete=models.CASCADE, related_name="images")
    model = models.CharField(max_length=100, help_text="app_label.ModelName")
    key = models.JSONField(help_text="the columns that tell the rows apart")
    keys = models.JSONField()
    rows = models.JSONField()

    objects: models.Manager["BeforeImage"] = models.Manager()

    def __str__(self) -> str:
        return f"{self.model} before {self.batch}"
