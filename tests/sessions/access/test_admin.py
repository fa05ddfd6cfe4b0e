"""The admin shows keys without their secrets."""

import pytest
from django.test import Client

from sessions.models import ApiKey, WebhookEndpoint
from tests.sessions.factories import OWNER, make_key

pytestmark = pytest.mark.django_db


def test_no_page_shows_a_secret_or_its_hash(admin_client: Client) -> None:
    key, secret = make_key()
    endpoint = WebhookEndpoint.objects.create(owner=OWNER, url="https://example.com/")
    secrets = (secret, key.hashed_secret, endpoint.secret, endpoint.salt)
    for path in (
        "apikey/",
        f"apikey/{key.pk}/change/",
        "webhookendpoint/",
        f"webhookendpoint/{endpoint.pk}/change/",
    ):
        page = admin_client.get(f"/admin/cortensor_sessions/{path}")
        assert page.status_code == 200
        assert OWNER in page.content.decode()
        assert not any(value in page.content.decode() for value in secrets)


def test_an_operator_limits_a_key_and_revokes_it(admin_client: Client) -> None:
    key, secret = make_key()
    page = f"/admin/cortensor_sessions/apikey/{key.pk}/change/"
    admin_client.post(page, {"name": "renamed", "daily_wei": "7", "requests_per_minute": "9"})
    key.refresh_from_db()
    assert (key.name, key.daily_wei, key.requests_per_minute) == ("renamed", 7, 9)
    assert ApiKey.find(secret) == key
    chosen = {"action": "revoke", "_selected_action": [key.pk]}
    admin_client.post("/admin/cortensor_sessions/apikey/", chosen)
    assert ApiKey.find(secret) is None
