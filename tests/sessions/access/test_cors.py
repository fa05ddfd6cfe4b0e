"""Pages of listed origins may send requests, with a key and never with a cookie."""

import pytest
from django.http import HttpResponse
from django.test import Client
from pytest_django.fixtures import Settings

from tests.sessions.factories import make_key

pytestmark = pytest.mark.django_db

LISTED, OTHER = "https://app.example", "https://evil.example"


@pytest.fixture(autouse=True)
def allow_list(settings: Settings) -> None:
    settings.CORS_ALLOWED_ORIGINS = [LISTED]


def preflight(client: Client, origin: str, path: str = "/api/v1/completions") -> HttpResponse:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    return client.options(path, headers=asked)


def test_an_origin_on_the_list_may_send_a_key_and_read_its_limits(client: Client) -> None:
    answer = preflight(client, LISTED)
    assert answer.status_code == 200
    assert answer["access-control-allow-origin"] == LISTED
    assert "authorization" in answer["access-control-allow-headers"]
    headers = {"Origin": LISTED, "Authorization": f"Bearer {make_key()[1]}"}
    answer = client.get("/api/v1/ping", headers=headers)
    assert answer.status_code == 200
    assert "x-ratelimit-remaining-requests" in answer["access-control-expose-headers"]


def test_no_cookie_goes_with_what_another_origin_asks(client: Client) -> None:
    assert "access-control-allow-credentials" not in preflight(client, LISTED).headers


@pytest.mark.parametrize("origin", [OTHER, "null", LISTED + ".evil.example", "http://app.example"])
def test_any_other_origin_may_not(client: Client, origin: str) -> None:
    assert "access-control-allow-origin" not in preflight(client, origin).headers


def test_nothing_but_the_interfaces_is_for_other_origins(client: Client) -> None:
    assert "access-control-allow-origin" not in preflight(client, LISTED, "/admin/").headers
