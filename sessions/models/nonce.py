"""Spent nonces, which are never accepted again."""

from datetime import datetime

from django.db import IntegrityError, models, transaction
from django.utils import timezone

from sessions.models.fields import AddressField


class SpentNonce(models.Model):
    """A nonce of an accepted signed message. It is kept until the message expires.

    It is in the database and not in Redis, because Redis may lose data. A message whose nonce is
    lost could be replayed.
    """

    account = AddressField(blank=True, default="", help_text="empty: a sign-in's nonce")
    nonce = models.CharField(max_length=80)
    expires_at = models.DateTimeField(db_index=True)

    objects: models.Manager["SpentNonce"] = models.Manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "nonce"], name="nonce_once")]

    def __str__(self) -> str:
        return f"nonce {self.nonce} of {self.account or 'a sign-in'}"

    @classmethod
    def spend(cls, nonce: str, expires_at: datetime, account: str = "") -> bool:
        """Spend a nonce. Return False if it is already spent. Concurrent calls succeed once."""
        cls.objects.filter(account=account, expires_at__lt=timezone.now()).delete()
        try:
            with transaction.atomic():
                cls.objects.create(account=account, nonce=nonce, expires_at=expires_at)
        except IntegrityError:
            return False
        return True
