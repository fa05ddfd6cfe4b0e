"""Payments for single tasks (x402)."""

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils import timezone

from chain.models import Operation, OperationStatus
from sessions.models.fields import AddressField, Uint256Field
from sessions.models.task import Task, TaskStatus


class PaymentStatus(models.TextChoices):
    """The states of a payment. `sessions.faces.x402.settlement` has the transitions."""

    PENDING = "pending", "its transfer is under way"
    SETTLED = "settled", "the till has it, and the task goes on"
    EARNED = "earned", "the task was answered and paid for"
    REFUSED = "refused", "the chain did not make the transfer"
    REFUNDING = "refunding", "the task came to nothing; the transfer back is under way"
    REFUNDED = "refunded", "the payer has it back"


class PaymentQuerySet(models.QuerySet["Payment"]):
    """Queries for payments."""

    def open(self) -> "PaymentQuerySet":
        """Return the payments that are not in a final state."""
        return self.filter(status__in=OPEN)

    def due(self, now: datetime) -> "PaymentQuerySet":
        """Return the payments whose next transition is possible now."""
        over = [OperationStatus.CONFIRMED, OperationStatus.FAILED]
        return self.open().filter(
            Q(status=PaymentStatus.PENDING, settlement__status__in=over)
            | Q(
                status=PaymentStatus.SETTLED,
                task__status__in=[TaskStatus.ENDED, TaskStatus.FAILED],
            )
            | Q(status=PaymentStatus.REFUNDING, refund__status=OperationStatus.CONFIRMED)
            | Q(
                status=PaymentStatus.REFUNDING,
                refund__status=OperationStatus.FAILED,
                refund_due_at__lte=now,
            )
        )


OPEN = (PaymentStatus.PENDING, PaymentStatus.SETTLED, PaymentStatus.REFUNDING)


class Payment(models.Model):
    """A payer's transfer authorization (ERC-3009), and the one task that it pays for."""

    payer = AddressField()
    nonce = models.CharField(max_length=66)
    amount_wei = Uint256Field()
    pay_to = AddressField()
    valid_after = models.BigIntegerField(help_text="seconds since 1970")
    valid_before = models.BigIntegerField(help_text="seconds since 1970")
    signature = models.TextField()
    task = models.OneToOneField(Task, on_delete=models.PROTECT, related_name="payment")
    status = models.CharField(
        max_length=10, choices=PaymentStatus.choices, default=PaymentStatus.PENDING
    )
    settlement = models.ForeignKey(Operation, on_delete=models.PROTECT, related_name="+")
    refund = models.ForeignKey(
        Operation, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    verified_block = models.BigIntegerField(help_text="where it was seen to be good")
    transaction = models.CharField(max_length=66, blank=True, default="")
    refund_transaction = models.CharField(max_length=66, blank=True, default="")
    error = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)
    settled_at = models.DateTimeField(null=True, blank=True)
    refund_due_at = models.DateTimeField(
        null=True, blank=True, help_text="when a refund that failed is tried again"
    )

    objects = PaymentQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["payer", "nonce"], name="payment_once"),
        ]
        indexes = [
            models.Index(
                fields=["status"],
                condition=models.Q(status__in=["pending", "settled", "refunding"]),
                name="payment_open",
            ),
            models.Index(
                fields=["created_at"],
                condition=models.Q(status__in=["pending", "refused"]),
                name="payment_at_risk",
            ),
        ]

    def __str__(self) -> str:
        return f"payment {self.nonce} of {self.payer}"
