"""Messages are stored with the change, signed, retried, and received by a real server."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
import redis
from celery.contrib.testing.worker import start_worker
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from cortensor_site.celery import app
from sessions.models import (
    DeliveryStatus,
    Session,
    WebhookDelivery,
    WebhookEndpoint,
)
from sessions.stages import task_states
from sessions.webhooks import delivery, outbox, sending
from sessions.webhooks.signing import signature_headers
from tests.serving import Receiver
from tests.sessions.factories import OWNER, STRANGER, make_task
from tests.sessions.webhooks.messages import end, message, try_now

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_owner_of_a_session_hears_that_its_task_has_ended(
    session: Session, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    task = end(session, client_reference="order 7", request_id="r1", task_data="the prompt")
    sent = try_now(WebhookDelivery.objects.get())
    assert (sent.status, sent.answer_status, sent.attempts) == ("delivered", 204, 1)
    [request] = receiver.requests
    body = json.loads(request.body)
    assert body["type"] == "task.ended"
    assert body["data"] == {
        "session_id": session.session_id,
        "task_id": task.task_id,
        "status": "ended",
        "outcome": {"code": "settled", "message": ""},
        "client_reference": "order 7",
        "request_id": "r1",
    }
    assert b"the prompt" not in request.body


def test_a_receiver_can_verify_a_message_by_the_standard(
    session: Session, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    try_now(message(session))
    [request] = receiver.requests
    key = base64.b64decode(endpoint.secret.removeprefix("whsec_"))
    signed = ".".join(
        [request.headers["webhook-id"], request.headers["webhook-timestamp"], request.body.decode()]
    )
    mac = base64.b64encode(hmac.new(key, signed.encode(), hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{mac}"
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 30
    assert 24 <= len(key) <= 64


def test_the_signature_is_that_of_the_standards_own_example() -> None:
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signature_headers(
        key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_message_is_written_with_the_change_or_not_at_all(
    session: Session, endpoint: WebhookEndpoint
) -> None:
    task = make_task(session)
    with transaction.atomic():
        task_states.mark_failed(task, "gone", "no miner is left")
        assert WebhookDelivery.objects.count() == 1
        transaction.set_rollback(True)
    assert not WebhookDelivery.objects.exists()
    task_states.mark_failed(task, "gone", "no miner is left")
    task_states.mark_failed(task, "gone", "no miner is left")
    [written] = WebhookDelivery.objects.all()
    assert json.loads(written.body)["type"] == written.event == "task.failed"
    assert json.loads(written.body)["data"]["outcome"]["code"] == "gone"


def test_who_is_told_and_who_is_not(session: Session) -> None:
    friend = "0x" + "fe" * 20
    Session.objects.filter(pk=session.pk).update(users=[friend])
    url, number = "https://example.com/", session.session_id

    def listen(owner: str, **values: Any) -> int:
        return WebhookEndpoint.objects.create(owner=owner, url=url, **values).pk

    told = {
        listen(OWNER),
        listen(OWNER, session_id=number, events=["task.ended"]),
        listen(friend, session_id=number),
    }
    listen(OWNER, events=["task.failed"])
    listen(OWNER, session_id=number + 1)
    listen(OWNER, disabled_at=timezone.now())
    listen(friend)  # for the sessions that it owns itself
    listen(STRANGER, session_id=number)  # whom the session does not name (any more)
    end(session)
    assert set(WebhookDelivery.objects.values_list("endpoint_id", flat=True)) == told


def test_a_receiver_that_fails_is_tried_again_with_the_same_id_and_longer_and_longer_pauses(
    session: Session, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    receiver.status = 500
    failing = message(session)
    pauses = []
    for _ in outbox.RETRY_AFTER_S:
        before = timezone.now()
        try_now(failing)
        assert (failing.status, failing.answer_status) == ("pending", 500)
        pauses.append((failing.next_attempt_at - before).total_seconds())
    for pause, planned in zip(pauses, outbox.RETRY_AFTER_S, strict=True):
        assert planned * 0.75 < pause < planned * 1.25 + 5
    assert try_now(failing).status == DeliveryStatus.FAILED
    assert len(receiver.requests) == len(outbox.RETRY_AFTER_S) + 1
    assert {request.headers["webhook-id"] for request in receiver.requests} == {failing.message_id}
    try_now(failing)
    assert len(receiver.requests) == len(outbox.RETRY_AFTER_S) + 1


def test_a_message_is_not_sent_before_its_time_nor_twice(
    session: Session, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    receiver.status = 503
    sent = message(session)
    delivery.deliver(str(sent.pk))
    delivery.deliver(str(sent.pk))
    assert len(receiver.requests) == 1
    receiver.status = 200
    try_now(sent)
    try_now(sent)
    assert len(receiver.requests) == 2


def test_a_crash_while_sending_loses_nothing(
    session: Session,
    endpoint: WebhookEndpoint,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = message(session)

    async def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as crashing:
        crashing.setattr(delivery, "post", crash)
        with pytest.raises(KeyboardInterrupt):
            delivery.deliver(str(sent.pk))
    sent.refresh_from_db()
    assert sent.status == DeliveryStatus.PENDING
    assert sent.next_attempt_at > timezone.now()
    assert try_now(sent).status == DeliveryStatus.DELIVERED


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(
    session: Session, endpoint: WebhookEndpoint, receiver: Receiver, status: int
) -> None:
    def redirect(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("location", receiver.url + "/elsewhere")
        handler.end_headers()

    receiver.answer = redirect
    sent = try_now(message(session))
    assert (sent.status, sent.answer_status) == ("pending", status)
    assert "redirect" in sent.problem
    assert [request.path for request in receiver.requests] == ["/hook"]


def drip(handler: BaseHTTPRequestHandler) -> None:
    """An answer that never gets anywhere."""
    try:
        while True:
            handler.wfile.write(b"H")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        pass


def flood(handler: BaseHTTPRequestHandler) -> None:
    """An answer without an end."""
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"x" * 65_536)
    except OSError:
        pass


def junk(handler: BaseHTTPRequestHandler) -> None:
    """An answer that is none."""
    handler.wfile.write(b"\x00\xff junk\r\n\r\n")


def test_a_receiver_that_drips_costs_no_more_than_our_patience(
    session: Session,
    endpoint: WebhookEndpoint,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "PATIENCE_S", 0.3)
    receiver.answer = drip
    sent = try_now(message(session))
    assert (sent.status, sent.answer_status) == ("pending", None)
    assert "0.3 s" in sent.problem


def test_an_answer_without_an_end_is_not_read(
    session: Session, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    receiver.answer = flood
    assert try_now(message(session)).status == DeliveryStatus.DELIVERED


def test_what_is_no_http_is_a_failed_attempt(
    session: Session, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    receiver.answer = junk
    sent = try_now(message(session))
    assert (sent.status, sent.answer_status) == ("pending", None)
    assert sent.problem


def test_a_receiver_that_is_away_is_a_failed_attempt(session: Session) -> None:
    WebhookEndpoint.objects.create(owner=OWNER, url="http://127.0.0.1:1/")
    sent = try_now(message(session))
    assert (sent.status, sent.answer_status) == ("pending", None)


def test_an_endpoint_that_says_it_is_gone_is_told_no_more(
    session: Session, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    receiver.status = 410
    other = message(session)
    try_now(message(session))
    endpoint.refresh_from_db()
    assert endpoint.disabled_at is not None
    assert try_now(other).problem == "the endpoint is disabled"
    assert other.status == DeliveryStatus.FAILED
    assert len(receiver.requests) == 1
    end(session)
    assert WebhookDelivery.objects.count() == 2


def test_an_endpoint_is_disabled_after_failing_for_days_and_a_success_clears_it(
    session: Session, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    receiver.status = 500
    first = try_now(message(session))
    endpoint.refresh_from_db()
    assert endpoint.failing_since is not None
    assert endpoint.disabled_at is None

    receiver.status = 200
    try_now(first)
    endpoint.refresh_from_db()
    assert endpoint.failing_since is None

    receiver.status = 500
    long_ago = timezone.now() - delivery.DISABLED_AFTER - timedelta(seconds=1)
    WebhookEndpoint.objects.update(failing_since=long_ago)
    try_now(message(session))
    endpoint.refresh_from_db()
    assert endpoint.disabled_at is not None


# ── by Celery ────────────────────────────────────────────────────────────────


@pytest.fixture
def worker(redis_url: str) -> Iterator[None]:
    """The webhooks' Celery worker, in a thread of this process."""
    app.conf.update(broker_url=redis_url)
    with start_worker(app, pool="solo", queues=["webhooks"], perform_ping_check=False):
        yield


def delivered(message: WebhookDelivery) -> bool:
    until = time.monotonic() + 15
    while time.monotonic() < until:
        message.refresh_from_db()
        if message.status == DeliveryStatus.DELIVERED:
            return True
        time.sleep(0.05)
    return False


def test_a_worker_delivers_as_soon_as_the_task_has_ended(
    worker: None, session: Session, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    assert delivered(message(session))
    assert len(receiver.requests) == 1


def test_a_wake_up_that_got_lost_is_made_up_for(
    session: Session,
    endpoint: WebhookEndpoint,
    receiver: Receiver,
    redis_url: str,
    request: pytest.FixtureRequest,
) -> None:
    lost = message(session)
    with redis.Redis.from_url(redis_url) as store:
        store.flushall()
    request.getfixturevalue("worker")
    assert outbox.hand_over_due(timezone.now()) == 0
    WebhookDelivery.objects.update(woken_at=timezone.now() - 2 * outbox.WAKE_AGAIN)
    assert outbox.hand_over_due(timezone.now()) == 1
    assert outbox.hand_over_due(timezone.now()) == 0
    assert delivered(lost)


def test_a_broker_that_is_away_stops_no_task_and_the_message_waits(
    session: Session, endpoint: WebhookEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise OperationalError("the broker is away")

    monkeypatch.setattr(outbox.current_app, "send_task", unreachable)
    waiting = message(session)
    assert waiting.woken_at is None
    assert outbox.hand_over_due(timezone.now()) == 0


def test_a_retry_is_handed_over_when_it_is_due_and_not_before(
    session: Session, endpoint: WebhookEndpoint, receiver: Receiver
) -> None:
    receiver.status = 500
    delivery.deliver(str(message(session).pk))
    now = timezone.now()
    assert outbox.hand_over_due(now) == 0
    assert outbox.hand_over_due(now + timedelta(seconds=10)) == 1
