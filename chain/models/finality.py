"""The blocks that the chain's own tags name as safe from forks."""

from django.db import models


class FinalBlock(models.Model):
    """The block that the tag `safe` or `finalized` named when sync last read it."""

    tag = models.CharField(max_length=16, primary_key=True)
    number = models.BigIntegerField()

    objects: models.Manager["FinalBlock"] = models.Manager()

    def __str__(self) -> str:
        return f"{self.tag} block {self.number}"
