"""Messages that ended tasks leave, and attempts to deliver them."""

from typing import Any

from django.utils import timezone

from sessions.models import Session, Task, WebhookDelivery
from sessions.stages import task_states
from sessions.webhooks import delivery
from tests.sessions.factories import make_task


def end(session: Session, **values: Any) -> Task:
    """A task of this session that the chain has settled."""
    task = make_task(session, **values)
    task_states.mark_ended(task)
    return task


def message(session: Session) -> WebhookDelivery:
    """The message that an ended task leaves."""
    task = end(session)
    return WebhookDelivery.objects.get(task=task)


def try_now(message: WebhookDelivery) -> WebhookDelivery:
    """Deliver as if the next attempt were due."""
    WebhookDelivery.objects.filter(pk=message.pk).update(next_attempt_at=timezone.now())
    delivery.deliver(str(message.pk))
    message.refresh_from_db()
    return message
