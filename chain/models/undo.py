"""What takes the mirror back when the chain forks: rows as they were before the last batches."""

from django.db import models


class StoredBatch(models.Model):
    """Consecutive blocks that were stored near the head at once, hence can be undone at once."""

    first_block = models.BigIntegerField()
    last_block = models.BigIntegerField(db_index=True)

    objects: models.Manager["StoredBatch"] = models.Manager()

    def __str__(self) -> str:
        return f"blocks {self.first_block} to {self.last_block}"


class BeforeImage(models.Model):
    """Rows of one table before a batch has changed them.

    `keys` names each row that the batch has made or changed, `rows` has those that were there
    before, whole. Both are JSON as PostgreSQL makes and reads it, numbers exactly.
    """

    batch = models.ForeignKey(StoredBatch, on_delete=models.CASCADE, related_name="images")
    model = models.CharField(max_length=100, help_text="app_label.ModelName")
    key = models.JSONField(help_text="the columns that tell the rows apart")
    keys = models.JSONField()
    rows = models.JSONField()

    objects: models.Manager["BeforeImage"] = models.Manager()

    def __str__(self) -> str:
        return f"{self.model} before {self.batch}"
