"""The outbox of webhooks: messages are written with the change that they report.

The row is authoritative. Celery only carries a notification, which may get lost. The oracle
notifies the workers again about messages that are due (`hand_over_due`).
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from celery import current_app
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from chain.protocol.digests import canonical_json
from sessions.models import (
    DeliveryStatus,
    Session,
    Task,
    TaskStatus,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
)

DELIVER, QUEUE = "sessions.deliver_webhook", "webhooks"
"""The Celery task that delivers one message, and its queue."""
RETRY_AFTER_S = (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
"""Seconds to wait after each failed attempt, as Standard Webhooks advises. Then it has failed."""
HANDED_OVER_AT_ONCE = 100
WAKE_AGAIN = timedelta(minutes=5)
"""A notification that has had no effect for this long counts as lost."""

logger = logging.getLogger(__name__)


def record(task: Task) -> None:
    """Write the messages that report a task's end, in the transaction that ends the task."""
    event = (
        WebhookEvent.TASK_FAILED if task.status == TaskStatus.FAILED else WebhookEvent.TASK_ENDED
    )
    in_force = WebhookEndpoint.objects.filter(disabled_at=None)
    if not in_force.exists():
        return
    session = Session.objects.filter(pk=task.session_id).first()
    if session is None:
        return
    everywhere = Q(session_id=None, owner=session.owner)
    here = Q(session_id=session.session_id, owner__in=[session.owner, *session.users])
    body, now = "", timezone.now()
    for endpoint in in_force.filter(everywhere | here):
        if event.value not in endpoint.events:
            continue
        body = body or canonical_json(_message(event, task)).decode()
        delivery, is_new = WebhookDelivery.objects.get_or_create(
            endpoint=endpoint,
            task=task,
            event=event,
            defaults={"body": body, "next_attempt_at": now, "woken_at": now},
        )
        if is_new:
            _wake_on_commit(delivery)


def hand_over_due(now: datetime) -> int:
    """Notify the workers about due messages, and return how many. Repeating it does no harm."""
    due = WebhookDelivery.objects.filter(
        Q(woken_at=None) | Q(woken_at__lt=F("next_attempt_at")) | Q(woken_at__lt=now - WAKE_AGAIN),
        status=DeliveryStatus.PENDING,
        next_attempt_at__lte=now,
    ).order_by("next_attempt_at")[:HANDED_OVER_AT_ONCE]
    handed_over = 0
    for delivery in due:
        WebhookDelivery.objects.filter(pk=delivery.pk).update(woken_at=now)
        if not _wake(delivery):
            break
        handed_over += 1
    return handed_over


def _message(event: WebhookEvent, task: Task) -> dict[str, Any]:
    # No prompt and no answer: a client that may see them fetches the task.
    assert task.ended_at is not None
    return {
        "type": event.value,
        "timestamp": task.ended_at.isoformat(),
        "data": {
            "session_id": task.session_id,
            "task_id": task.task_id,
            "status": task.status,
            "outcome": {"code": task.outcome_code, "message": task.outcome_message},
            "client_reference": task.client_reference,
            "request_id": task.request_id or None,
        },
    }


def _wake_on_commit(delivery: WebhookDelivery) -> None:
    transaction.on_commit(lambda: _wake(delivery), robust=True)


def _wake(delivery: WebhookDelivery) -> bool:
    try:
        current_app.send_task(
            DELIVER,
            (str(delivery.pk),),
            queue=QUEUE,
            ignore_result=True,
            retry=False,
            expires=int(WAKE_AGAIN.total_seconds()),
        )
    except Exception:  # the row is written, whatever the broker's client raises
        logger.warning("%s waits for the broker", delivery, exc_info=True)
        WebhookDelivery.objects.filter(pk=delivery.pk).update(woken_at=None)
        return False
    return True
