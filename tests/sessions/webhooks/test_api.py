"""Webhooks as their owner manages them: created, shown, enabled, deleted, with deliveries."""

import base64
from typing import Any

import pytest
from django.utils import timezone

from sessions.models import DeliveryStatus, WebhookDelivery, WebhookEndpoint
from sessions.stages import task_states
from sessions.webhooks import endpoints
from tests.sessions.api_client import Api, problem_of
from tests.sessions.factories import OWNER, STRANGER, make_key, make_session, make_task

pytestmark = pytest.mark.django_db

URL = "https://example.com/hook"


def test_the_secret_is_shown_once_and_kept_nowhere(api: Api, manager: str) -> None:
    made = api("POST", "webhooks", {"url": URL}, manager)
    assert made.status_code == 201
    assert made["Cache-Control"] == "no-store"
    secret, number = made.json()["secret"], made.json()["id"]
    assert made.json()["events"] == ["task.ended", "task.failed"]
    assert WebhookEndpoint.objects.get(pk=number).secret == secret
    row = WebhookEndpoint.objects.filter(pk=number).values().get()
    bare = secret.removeprefix("whsec_")
    kept = " ".join(str(value) for value in row.values())
    assert bare not in kept
    assert base64.b64decode(bare).hex() not in kept
    for path in ("webhooks", f"webhooks/{number}"):
        assert secret not in api("GET", path, key=manager).content.decode()
    other = api("POST", "webhooks", {"url": URL}, manager).json()
    assert other["secret"] != secret


def test_an_owner_sees_what_was_told_and_has_it_told_again(api: Api, manager: str) -> None:
    task = make_task(make_session())
    endpoint = WebhookEndpoint.objects.create(owner=OWNER, url=URL)
    task_states.mark_failed(task, "gone", "no miner is left")
    WebhookDelivery.objects.update(
        status=DeliveryStatus.FAILED, attempts=8, answer_status=500, problem=""
    )
    path = f"webhooks/{endpoint.pk}/deliveries"
    [shown] = api("GET", path, key=manager).json()["deliveries"]
    assert (shown["task_id"], shown["event"]) == (task.task_id, "task.failed")
    assert (shown["status"], shown["attempts"], shown["answer_status"]) == ("failed", 8, 500)
    again = api("POST", f"{path}/{shown['id']}/again", key=manager)
    assert again.status_code == 202
    assert again.json()["message_id"] == shown["message_id"]
    assert WebhookDelivery.objects.get().status == DeliveryStatus.PENDING


def test_a_disabled_webhook_is_enabled_and_a_deleted_one_is_gone(api: Api, manager: str) -> None:
    endpoint = WebhookEndpoint.objects.create(
        owner=OWNER, url=URL, disabled_at=timezone.now(), failing_since=timezone.now()
    )
    enabled = api("POST", f"webhooks/{endpoint.pk}/enable", key=manager).json()
    assert (enabled["disabled_at"], enabled["failing_since"]) == (None, None)
    assert api("DELETE", f"webhooks/{endpoint.pk}", key=manager).status_code == 204
    problem_of(api("GET", f"webhooks/{endpoint.pk}", key=manager), 404)


def test_what_belongs_to_others_is_not_there(api: Api, manager: str) -> None:
    endpoint = WebhookEndpoint.objects.create(owner=STRANGER, url=URL)
    path = f"webhooks/{endpoint.pk}"
    for method, address in (
        ("GET", path),
        ("DELETE", path),
        ("POST", f"{path}/enable"),
        ("GET", f"{path}/deliveries"),
        ("POST", f"{path}/deliveries/{'0' * 8}-0000-0000-0000-{'0' * 12}/again"),
    ):
        problem_of(api(method, address, key=manager), 404)
    assert api("GET", "webhooks", key=manager).json() == {"webhooks": []}
    strange = make_session(owner=STRANGER)
    body = {"url": URL, "session_id": strange.session_id}
    problem_of(api("POST", "webhooks", body, manager), 404)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("url", "https://127.0.0.2/"),
        ("url", 7),
        ("url", ""),
        ("url", "https://[::1]/"),
        ("url", "ftp://example.com/"),
        ("url", "https://x/\x00"),
        ("events", []),
        ("events", ["task.begun"]),
        ("events", "task.ended"),
        ("session_id", 0),
        ("session_id", "one"),
    ],
)
def test_a_wrong_member_is_named(
    api: Api, manager: str, settings: Any, member: str, value: Any
) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = []
    problem = problem_of(api("POST", "webhooks", {"url": URL, member: value}, manager), 400)
    assert problem["errors"][0]["field"].startswith(member)


def test_only_keys_that_manage_see_webhooks(api: Api) -> None:
    _, secret = make_key()
    problem_of(api("GET", "webhooks", key=secret), 403)
    problem_of(api("GET", "webhooks"), 401)


def test_an_account_has_only_so_many(
    api: Api, manager: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "MAX_ENDPOINTS", 1)
    assert api("POST", "webhooks", {"url": URL}, manager).status_code == 201
    problem_of(api("POST", "webhooks", {"url": URL}, manager), 429)
