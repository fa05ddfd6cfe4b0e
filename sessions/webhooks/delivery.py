"""One attempt to deliver a message, and the update of its delivery and endpoint."""

import asyncio
import logging
import random
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from sessions.models import DeliveryStatus, WebhookDelivery, WebhookEndpoint
from sessions.webhooks.outbox import RETRY_AFTER_S
from sessions.webhooks.sending import ReceiverAnswer, post
from sessions.webhooks.signing import signature_headers

DISABLED_AFTER = timedelta(days=3)
"""An endpoint that has only failed for this long is disabled until its owner enables it."""
JITTER = 0.2
GONE = 410

logger = logging.getLogger(__name__)


def deliver(delivery_id: str) -> None:
    """Try once, if the attempt is due. The next attempt is scheduled first, in case of a crash."""
    delivery = _claim(delivery_id, timezone.now())
    if delivery is None:
        return
    try:
        answer = _post(delivery)
    except Exception as error:
        # Count attempts that fail with any error, so that they end at some time.
        logger.exception("%s was not sent", delivery)
        answer = ReceiverAnswer(None, f"not sent: {type(error).__name__}")
    _conclude(delivery, answer, timezone.now())


def _post(delivery: WebhookDelivery) -> ReceiverAnswer:
    endpoint, body = delivery.endpoint, delivery.body.encode()
    headers = signature_headers(
        endpoint.signing_key, delivery.message_id, int(timezone.now().timestamp()), body
    )
    return asyncio.run(post(endpoint.url, headers, body))


@transaction.atomic
def _claim(delivery_id: str, now: datetime) -> WebhookDelivery | None:
    delivery = (
        WebhookDelivery.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("endpoint")
        .filter(pk=delivery_id, status=DeliveryStatus.PENDING, next_attempt_at__lte=now)
        .first()
    )
    if delivery is None:
        return None
    delivery.attempts += 1
    if delivery.endpoint.disabled_at is not None:
        delivery.status, delivery.problem = DeliveryStatus.FAILED, "the endpoint is disabled"
    else:
        delivery.next_attempt_at = now + _pause(delivery.attempts)
    delivery.save(update_fields=["attempts", "status", "problem", "next_attempt_at"])
    return delivery if delivery.status == DeliveryStatus.PENDING else None


@transaction.atomic
def _conclude(delivery: WebhookDelivery, answer: ReceiverAnswer, now: datetime) -> None:
    delivery.answer_status, delivery.problem = answer.status, answer.problem
    if answer.is_success:
        delivery.status, delivery.delivered_at = DeliveryStatus.DELIVERED, now
    elif delivery.attempts > len(RETRY_AFTER_S):
        delivery.status = DeliveryStatus.FAILED
    delivery.save(update_fields=["answer_status", "problem", "status", "delivered_at"])
    _judge(WebhookEndpoint.objects.select_for_update().get(pk=delivery.endpoint_id), answer, now)


def _judge(endpoint: WebhookEndpoint, answer: ReceiverAnswer, now: datetime) -> None:
    """Disable an endpoint that is gone or has failed for too long."""
    if answer.is_success:
        endpoint.failing_since = None
    else:
        endpoint.failing_since = endpoint.failing_since or now
        if answer.status == GONE or now - endpoint.failing_since >= DISABLED_AFTER:
            endpoint.disabled_at = endpoint.disabled_at or now
    endpoint.save(update_fields=["failing_since", "disabled_at"])


def _pause(attempts: int) -> timedelta:
    """Return the pause after an attempt, with some jitter."""
    index = min(attempts - 1, len(RETRY_AFTER_S) - 1)
    spread = 1 + JITTER * (2 * random.random() - 1)  # noqa: S311, jitter needs no secrecy
    return timedelta(seconds=RETRY_AFTER_S[index] * spread)
