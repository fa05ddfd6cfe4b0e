"""Webhook endpoints of clients, and the messages to them."""

import base64
import secrets
import uuid

from django.db import models
from django.utils import timezone
from django.utils.crypto import salted_hmac

from sessions.models.fields import AddressField
from sessions.models.task import Task

SECRET_PREFIX = "whsec_"  # noqa: S105, a prefix is not a secret


class WebhookEvent(models.TextChoices):
    """An event that a webhook reports."""

    TASK_ENDED = "task.ended"
    TASK_FAILED = "task.failed"


class DeliveryStatus(models.TextChoices):
    """The state of a message."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


def all_events() -> list[str]:
    """Return the events of an endpoint for which none were asked for."""
    return [event.value for event in WebhookEvent]


def new_salt() -> str:
    """Return a salt, which gives an endpoint a secret of its own."""
    return secrets.token_hex(16)


class WebhookEndpoint(models.Model):
    """A client's URL for messages. Its signing secret is derived and not stored."""

    owner = AddressField(db_index=True)
    session_id = models.BigIntegerField(
        null=True, blank=True, help_text="null: every session that the owner owns"
    )
    url = models.URLField(max_length=2048)
    events = models.JSONField(default=all_events)
    salt = models.CharField(max_length=32, default=new_salt, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    failing_since = models.DateTimeField(null=True, blank=True, editable=False)
    disabled_at = models.DateTimeField(null=True, blank=True)

    objects: models.Manager["WebhookEndpoint"] = models.Manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["session_id"], condition=models.Q(disabled_at=None), name="webhook_session"
            )
        ]

    def __str__(self) -> str:
        return f"webhook {self.pk} of {self.owner}"

    @property
    def signing_key(self) -> bytes:
        """32 bytes, derived from the setting SECRET_KEY and this endpoint's salt."""
        return salted_hmac("cortensor.webhook", self.salt, algorithm="sha256").digest()

    @property
    def secret(self) -> str:
        """The signing key in the format of Standard Webhooks. It is shown to its owner once."""
        return SECRET_PREFIX + base64.b64encode(self.signing_key).decode()


class WebhookDelivery(models.Model):
    """A message to one endpoint: an outbox row, written in the transaction of the change."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries"
    )
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="+")
    event = models.CharField(max_length=32, choices=WebhookEvent.choices)
    body = models.TextField(help_text="exactly what is sent and signed")
    status = models.CharField(
        max_length=12, choices=DeliveryStatus.choices, default=DeliveryStatus.PENDING
    )
    attempts = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    woken_at = models.DateTimeField(
        null=True, blank=True, help_text="when the deliverers were last asked"
    )
    delivered_at = models.DateTimeField(null=True, blank=True)
    answer_status = models.PositiveIntegerField(null=True, blank=True)
    problem = models.CharField(max_length=300, blank=True, default="")

    objects: models.Manager["WebhookDelivery"] = models.Manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        verbose_name_plural = "webhook deliveries"
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "task", "event"], name="webhook_once")
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                condition=models.Q(status="pending"),
                name="webhook_due",
            ),
            models.Index(fields=["endpoint", "-created_at"], name="webhook_log"),
        ]

    def __str__(self) -> str:
        return f"{self.event} to webhook {self.endpoint_id}"

    @property
    def message_id(self) -> str:
        """The message's id, the same at every attempt, so that receivers can detect repetitions."""
        return f"msg_{self.pk.hex}"
