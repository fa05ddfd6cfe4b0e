"""What the chain's own tags say about which blocks no fork will undo."""

from django.db import models


class FinalBlock(models.Model):
    """The block that `safe` or `finalized` named when sync asked last."""

    tag = models.CharField(max_length=16, primary_key=True)
    number = models.BigIntegerField()

    objects: models.Manager["FinalBlock"] = models.Manager()

    def __str__(self) -> str:
        return f"{self.tag} block {self.number}"
