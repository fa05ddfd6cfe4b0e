"""What was read from the chain: the events of our contracts, and the blocks that vouch for them."""

from django.db import models


class Block(models.Model):
    """A block of the chain that is followed; the highest one is how far the mirror has come.

    Every block with an event is here, and the last one of each batch. After a fork the orphaned
    ones are deleted.
    """

    number = models.BigIntegerField(primary_key=True)
    hash = models.CharField(max_length=66, unique=True)
    parent_hash = models.CharField(max_length=66)
    timestamp = models.DateTimeField()

    objects: models.Manager["Block"] = models.Manager()

    def __str__(self) -> str:
        return f"block {self.number}"


class Event(models.Model):
    """A decoded log. `args` has JSON integers of any size (jsonb keeps them exactly), 0x hex for
    bytes, checksummed addresses, and text without what PostgreSQL cannot hold.
    """

    # Without an index of its own: `event_order` begins with it.
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
        """The number of its block."""
        return self.block_id
