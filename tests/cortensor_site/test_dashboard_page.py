"""The dashboard's page as the server sends it."""

import json
import re

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from sessions.models import ApiKey, Session, SessionState

OWNER = "0x" + "ab" * 20

pytestmark = pytest.mark.django_db


def page_of(client: Client) -> str:
    answer = client.get("/")
    assert answer.status_code == 200
    return answer.content.decode()


def config_of(client: Client) -> dict[str, object]:
    found = re.search(
        r'<script id="config" type="application/json">(.*?)</script>', page_of(client)
    )
    assert found
    return dict(json.loads(found[1]))


def make_session(session_id: int, **changes: object) -> None:
    values = {"session_id": session_id, "sid": f"0x{session_id:064x}", "owner": OWNER}
    Session.objects.create(**(values | changes))


def test_nothing_runs_that_stands_in_the_page_and_nothing_comes_from_elsewhere(
    client: Client,
) -> None:
    answer = client.get("/")
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    page = answer.content.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|https?://", page)
    scripts = re.findall(r"<script([^>]*)>", page)
    assert len(scripts) == 2
    assert all("src=" in script or "application/json" in script for script in scripts)


def test_every_file_that_the_page_names_is_served(client: Client) -> None:
    addresses = set(re.findall(r'"(/static/[^"]+)"', page_of(client)))
    assert len(addresses) == 3
    for address in addresses:
        assert client.get(address).status_code == 200


def test_without_a_demonstration_the_page_holds_no_key(client: Client, settings: Settings) -> None:
    settings.DEMO_API_KEY = ""
    make_session(3)
    assert config_of(client)["demo_api_key"] == ""
    assert config_of(client)["demo_session_id"] == 0


def test_a_demonstration_starts_with_the_newest_session_of_its_key_s_owner(
    client: Client, settings: Settings
) -> None:
    settings.DEMO_API_KEY = ApiKey.issue("demo", OWNER)[1]
    settings.DEMO_SESSION_ID = 0
    make_session(3)
    make_session(4)
    make_session(5, state=SessionState.INACTIVE)
    make_session(6, owner="0x" + "cd" * 20)
    assert config_of(client)["demo_api_key"] == settings.DEMO_API_KEY
    assert config_of(client)["demo_session_id"] == 4


def test_a_demonstration_starts_with_a_session_of_the_first_model(
    client: Client, settings: Settings
) -> None:
    settings.DEMO_API_KEY = ApiKey.issue("demo", OWNER)[1]
    settings.DEMO_SESSION_ID = 0
    settings.MODELS = {1: "chat.gguf", 2: "small.gguf"}
    make_session(3, model_identifier=1)
    make_session(4, model_identifier=2)
    assert config_of(client)["demo_session_id"] == 3


def test_a_demonstration_may_name_its_session(client: Client, settings: Settings) -> None:
    settings.DEMO_API_KEY = ApiKey.issue("demo", OWNER)[1]
    settings.DEMO_SESSION_ID = 2
    assert config_of(client)["demo_session_id"] == 2


def test_the_page_may_not_be_kept(client: Client) -> None:
    assert client.get("/")["Cache-Control"] == "no-store"
