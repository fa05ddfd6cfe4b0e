"""Creates the messages of ended tasks, and tries to deliver them."""

from typing import Any

from django.utils import timezone

from sessions.models import Session, Task, WebhookDelivery
from sessions.stages import task_states
from sessions.webhooks import delivery
from tests.sessions.factories import make_task


def end(session: Session, **values: Any) -> Task:
    """Create a task of the session that the chain has settled."""
    task = make_task(session, **values)
    task_states.mark_ended(task)
    return task


def message(session: Session) -> WebhookDelivery:
    """Create an ended task, and return its message."""
    task = end(session)
    return WebhookDelivery.objects.get(task=task)


def try_now(message: WebhookDelivery) -> WebhookDelivery:
    """Deliver as if the next attempt were due."""
    WebhookDelivery.objects.filter(pk=message.pk).update(next_attempt_at=timezone.now())
    delivery.deliver(str(message.pk))
    message.refresh_from_db()
    return message
