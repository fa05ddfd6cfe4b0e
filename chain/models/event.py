"""The events of this project's contracts, and the blocks that contain them."""

from django.db import models


class Block(models.Model):
    """A stored block. The highest one is the cursor: the mirror is complete up to it.

    Stored are all blocks with events, and the last block of each batch. After a fork, orphaned
    blocks are deleted.
    """

    number = models.BigIntegerField(primary_key=True)
    hash = models.CharField(max_length=66, unique=True)
    parent_hash = models.CharField(max_length=66)
    timestamp = models.DateTimeField()

    objects: models.Manager["Block"] = models.Manager()

    def __str__(self) -> str:
        return f"block {self.number}"


class Event(models.Model):
    """A decoded log.

    In `args`, integers are JSON integers of any size (jsonb stores them exactly), bytes are 0x hex,
    addresses are checksummed, and NUL characters in text are replaced, since PostgreSQL cannot
    store them.
    """

    # The field needs no index of its own, since `event_order` begins with it.
    block = models.ForeignKey(
        Block, on_delete=models.CASCADE, related_name="events", db_index=False
    )
    block_hash = models.CharField(max_length=66)
    log_index = models.PositiveIntegerField()
    tx_hash = models.CharField(max_length=66)
    contract = models.CharField(max_length=32)
    name = models.CharField(max_length=64)
    args = models.JSONField()
    timestamp = models.DateTimeField()

    objects: models.Manager["Event"] = models.Manager()

    class Meta:
        ordering = ["block_id", "log_index"]
        constraints = [
            models.UniqueConstraint(fields=["block_hash", "log_index"], name="event_identity"),
        ]
        indexes = [models.Index(fields=["block", "log_index"], name="event_order")]

    def __str__(self) -> str:
        return f"{self.contract}.{self.name} in block {self.block_id}"

    @property
    def block_number(self) -> int:
        """The number of the event's block."""
        return self.block_id
