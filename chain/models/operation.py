"""The outbox (`Operation`) and the transactions that send operations to the chain."""

from django.db import models
from django.utils import timezone

from chain.operations import OperationKind


class TransactionStatus(models.TextChoices):
    """The states of a transaction. `chain.sending.journal` defines the transitions."""

    SIGNED = "signed", "signed and stored, perhaps broadcast"
    SENT = "sent", "accepted by a node"
    MINED = "mined", "in a block that a fork may still undo"
    FINAL = "final", "deep enough"
    DROPPED = "dropped", "its nonce was used by another transaction"


class Transaction(models.Model):
    """A nonce of an account, and the transaction that uses it.

    A stuck transaction is signed again with higher fees. `hash` and `raw` are those of the latest
    version. A version in `earlier_hashes` may be mined instead, with the same effect. Fees are in
    wei per unit of gas.
    """

    hash = models.CharField(max_length=66, unique=True)
    earlier_hashes = models.JSONField(default=list)
    account = models.CharField(max_length=42)
    nonce = models.BigIntegerField()
    kind = models.CharField(max_length=24, choices=OperationKind.choices)
    contract_address = models.CharField(max_length=42)
    calldata = models.BinaryField()
    raw = models.BinaryField()
    gas_limit = models.BigIntegerField()
    max_fee_wei = models.DecimalField(max_digits=30, decimal_places=0)
    priority_fee_wei = models.DecimalField(max_digits=30, decimal_places=0)
    status = models.CharField(
        max_length=8, choices=TransactionStatus.choices, default=TransactionStatus.SIGNED
    )
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)
    sent_block = models.BigIntegerField(null=True, help_text="the head when it was sent last")
    block_number = models.BigIntegerField(null=True)
    block_hash = models.CharField(max_length=66, default="")
    succeeded = models.BooleanField(null=True)
    gas_used = models.BigIntegerField(null=True)

    objects: models.Manager["Transaction"] = models.Manager()

    class Meta:
        constraints = [
            # Even if two senders both believe that they lead, they cannot use a nonce twice.
            models.UniqueConstraint(
                fields=["account", "nonce"],
                condition=models.Q(status__in=["signed", "sent", "mined"]),
                name="transaction_nonce",
            ),
        ]

    def __str__(self) -> str:
        return f"transaction {self.hash}"

    @property
    def hashes(self) -> list[str]:
        """All hashes under which it may be mined, the latest first."""
        return [self.hash, *reversed(self.earlier_hashes)]


class GasTotal(models.Model):
    """The gas used by all mined transactions of a kind. Updated when one is mined or undone."""

    kind = models.CharField(max_length=24, choices=OperationKind.choices, primary_key=True)
    gas_used = models.BigIntegerField(default=0)

    objects: models.Manager["GasTotal"] = models.Manager()

    def __str__(self) -> str:
        return f"{self.gas_used} gas of {self.kind}"


class OperationStatus(models.TextChoices):
    """The states of an operation.

    `failed` and `confirmed` are final, unless a fork undoes the transaction. A failed operation can
    also be enqueued again.
    """

    PENDING = "pending"
    SENT = "sent"
    CONFIRMED = "confirmed"
    FAILED = "failed"


class Operation(models.Model):
    """A row of the outbox. `chain.operations` defines the `payload` of each kind."""

    kind = models.CharField(max_length=24, choices=OperationKind.choices)
    key = models.CharField(max_length=200, unique=True)
    payload = models.JSONField()
    status = models.CharField(
        max_length=10, choices=OperationStatus.choices, default=OperationStatus.PENDING
    )
    error = models.TextField(default="", blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(default=timezone.now, help_text="not to be tried before")
    transaction = models.ForeignKey(
        Transaction, null=True, blank=True, on_delete=models.PROTECT, related_name="operations"
    )
    alone = models.BooleanField(default=False, help_text="since a batch with it has reverted")
    position = models.PositiveSmallIntegerField(
        default=0, help_text="its place in the transaction's batch"
    )
    failure_told = models.BooleanField(
        default=True, help_text="false from its failure until what follows from that is done"
    )

    objects: models.Manager["Operation"] = models.Manager()

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(
                fields=["due_at"],
                condition=models.Q(status="pending"),
                name="operation_pending",
            ),
            models.Index(
                fields=["id"],
                condition=models.Q(failure_told=False),
                name="operation_failure_untold",
            ),
        ]

    def __str__(self) -> str:
        return f"operation {self.key}"
