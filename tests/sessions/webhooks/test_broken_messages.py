"""A message that raises an error counts as failed, and has a last try."""

from typing import Any

import pytest

from sessions.models import DeliveryStatus, Session, WebhookEndpoint
from sessions.webhooks import delivery, outbox
from tests.serving import Receiver
from tests.sessions.webhooks.messages import message, try_now

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_message_that_breaks_its_sender_has_an_end(
    session: Session, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    WebhookEndpoint.objects.update(url="https://[::1")
    sent = message(session)
    for _ in range(len(outbox.RETRY_AFTER_S) + 1):
        try_now(sent)
        sent.refresh_from_db()
    assert sent.status == DeliveryStatus.FAILED
    assert "not sent" in sent.problem


def test_a_signing_key_that_is_none_is_a_failed_attempt(
    session: Session,
    endpoint: WebhookEndpoint,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(delivery, "signature_headers", fail)
    sent = try_now(message(session))
    assert (sent.status, sent.problem) == (DeliveryStatus.PENDING, "not sent: ZeroDivisionError")
