"""The Celery task of webhooks: `celery -A cortensor_site worker -Q webhooks -P threads`."""

from celery import shared_task

from sessions.webhooks import delivery, outbox


@shared_task(name=outbox.DELIVER, queue=outbox.QUEUE, ignore_result=True)
def deliver_webhook(delivery_id: str) -> None:
    """Try to deliver one message; see `sessions.webhooks.delivery`."""
    delivery.deliver(delivery_id)
