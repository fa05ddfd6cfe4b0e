"""Keys: their owner creates them, they are shown once, have a scope, and can be revoked."""

import logging
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from sessions.access import keys
from sessions.access.callers import Caller
from sessions.access.errors import LimitReached
from sessions.access.keys import KeyTerms
from sessions.models import ApiKey, Task
from tests.sessions.api_client import Api, problem_of
from tests.sessions.factories import OWNER, STRANGER, make_key, make_session

pytestmark = pytest.mark.django_db

PROMPT = {"prompt": "two words", "max_tokens": 8, "timeout": 1}


def test_an_owner_makes_lists_and_revokes_keys(api: Api, manager: str) -> None:
    made = api("POST", "keys", {"name": "ci"}, manager)
    assert made.status_code == 201
    assert made["Cache-Control"] == "no-store"
    secret, key_id = made.json()["key"], made.json()["id"]
    assert made.json()["scopes"] == ["read", "submit"]
    assert api("GET", "sessions", key=secret).status_code == 200

    listed = api("GET", "keys", key=manager)
    assert secret not in listed.content.decode()
    assert "hashed_secret" not in listed.content.decode()
    assert [key["name"] for key in listed.json()["keys"]] == ["ci", "test"]

    assert api("DELETE", f"keys/{key_id}", key=manager).status_code == 204
    problem_of(api("GET", "sessions", key=secret), 401)
    assert api("GET", f"keys/{key_id}", key=manager).json()["revoked_at"]


def test_keys_of_others_are_not_there(api: Api, manager: str) -> None:
    strange, secret = make_key(STRANGER)
    for method in ("GET", "DELETE"):
        problem_of(api(method, f"keys/{strange.pk}", key=manager), 404)
    assert ApiKey.find(secret) == strange


@pytest.mark.parametrize(
    ("scopes", "may"),
    [(["read"], {"read"}), (["submit"], {"submit"}), (["read", "submit"], {"read", "submit"})],
)
def test_a_key_does_only_what_it_was_made_for(api: Api, scopes: list[str], may: set[str]) -> None:
    session = make_session(deposited_wei=0)
    _, secret = make_key(scopes=scopes)
    calls: dict[str, tuple[str, str, Any, int]] = {
        # The balance is 0: whoever may submit gets as far as that.
        "submit": ("POST", f"completions/{session.session_id}", PROMPT, 402),
        "read": ("GET", f"sessions/{session.session_id}", None, 200),
        "manage": ("GET", "keys", None, 200),
    }
    for scope, (method, path, body, allowed) in calls.items():
        response = api(method, path, body, secret)
        if scope in may:
            assert response.status_code == allowed
        else:
            assert problem_of(response, 403)["type"] == "urn:cortensor:problem:scope_missing"


def test_a_key_that_names_its_session_sees_and_spends_no_other(api: Api) -> None:
    named, other = make_session(deposited_wei=0), make_session()
    _, secret = make_key(session_id=named.session_id)
    shown = api("GET", "sessions", key=secret).json()["sessions"]
    assert [row["session_id"] for row in shown] == [named.session_id]
    problem_of(api("GET", f"tasks/{other.session_id}", key=secret), 404)
    problem_of(api("POST", f"completions/{other.session_id}", PROMPT, secret), 404)
    problem_of(api("POST", f"completions/{named.session_id}", PROMPT, secret), 402)
    assert not Task.objects.exists()


def test_an_expired_key_is_a_wrong_key(api: Api) -> None:
    key, secret = make_key(expires_at=timezone.now() + timedelta(minutes=1))
    assert api("GET", "ping", key=secret).status_code == 200
    ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now())
    expired = problem_of(api("GET", "ping", key=secret), 401)
    assert expired == problem_of(api("GET", "ping", key="cor_" + "x" * 43), 401)


def test_a_key_makes_none_that_may_more_or_lives_longer(api: Api) -> None:
    end = timezone.now() + timedelta(days=1)
    _, parent = make_key(scopes=["read", "manage"], expires_at=end)
    later = (end + timedelta(days=1)).isoformat()
    sooner = (end - timedelta(hours=1)).isoformat()
    refusals = [
        ({"scopes": ["submit"], "expires_at": sooner}, 403),
        ({"scopes": ["read"], "expires_at": later}, 400),
        ({"scopes": ["read"]}, 400),
    ]
    for terms, status in refusals:
        problem_of(api("POST", "keys", {"name": "child", **terms}, parent), status)
    made = api("POST", "keys", {"name": "child", "scopes": ["read"], "expires_at": sooner}, parent)
    assert made.status_code == 201


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("name", ""),
        ("name", "x" * 101),
        ("name", 7),
        ("name", "a\x00b"),
        ("scopes", []),
        ("scopes", ["root"]),
        ("scopes", "read"),
        ("session_id", 0),
        ("session_id", 2**63),
        ("session_id", "one"),
        ("expires_at", "2020-01-01T00:00:00Z"),
        ("expires_at", "soon"),
        ("expires_at", 5),
        ("daily_wei", -1),
        ("daily_wei", "1e3"),
        ("daily_wei", str(2**256)),
        ("daily_wei", True),
        ("daily_tokens", -1),
        ("daily_tokens", 2**63),
        ("max_open_tasks", 0),
        ("requests_per_minute", 2**31),
        ("tokens_per_minute", 1.5),
    ],
)
def test_a_wrong_member_is_named(api: Api, manager: str, member: str, value: Any) -> None:
    problem = problem_of(api("POST", "keys", {"name": "x", member: value}, manager), 400)
    assert problem["errors"][0]["field"].startswith(member)


@pytest.mark.parametrize("body", ["", "[]", "{", '{"name": ' + "[" * 5000, b"\xff", "null"])
def test_a_body_that_is_no_object_is_refused(api: Api, manager: str, body: str | bytes) -> None:
    problem_of(api("POST", "keys", body, manager), 400)


def test_budgets_do_not_go_with_the_right_to_make_keys(api: Api, manager: str) -> None:
    body = {"name": "x", "scopes": ["manage"], "daily_wei": "5"}
    assert problem_of(api("POST", "keys", body, manager), 400)["field"] == "scopes"


def test_a_key_for_a_strangers_session_is_not_made(api: Api, manager: str) -> None:
    session = make_session(owner=STRANGER)
    problem_of(api("POST", "keys", {"name": "x", "session_id": session.session_id}, manager), 404)


def test_an_account_has_only_so_many_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "MAX_KEYS", 2)
    caller = Caller(OWNER)
    made = [keys.make_key(caller, "x", KeyTerms())[0] for _ in range(2)]
    with pytest.raises(LimitReached):
        keys.make_key(caller, "x", KeyTerms())
    ApiKey.objects.filter(pk=made[0].pk).update(revoked_at=timezone.now())
    keys.make_key(caller, "x", KeyTerms())


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer  ",
        "Basic cor_x",
        "Bearer " + "x" * 7_000,
        "bearer\tcor_x",
        "Bearer cor_\x00" + "x" * 42,
        "Bearer cor_é" + "x" * 42,
        "Bearer cor_a b",
        "\x00",
    ],
)
def test_an_odd_header_is_a_wrong_key_and_no_failure(api: Api, header: str) -> None:
    problem_of(api("GET", "ping", Authorization=header), 401)


def test_no_log_holds_a_key(
    api: Api, manager: str, caplog: pytest.LogCaptureFixture, limits: Any
) -> None:
    limits(failures_per_minute=1)
    wrong = "cor_" + "x" * 43
    with caplog.at_level(logging.DEBUG):
        made = api("POST", "keys", {"name": "ci"}, manager).json()["key"]
        for key in (made, wrong, wrong, manager):
            api("GET", "keys", key=key)
    assert "/api/v1/keys" in caplog.text
    assert not any(secret in caplog.text for secret in (made, wrong, manager))


def test_the_command_makes_keys_with_terms(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    session = make_session()
    terms = {"session": session.session_id, "days": 1.5, "daily_wei": 7, "daily_tokens": 9}
    call_command("create_api_key", name="ci", owner=OWNER, scope=["read"], **terms)
    key = ApiKey.find(capsys.readouterr().out.strip())
    assert key is not None
    assert (key.scopes, key.session_id) == (["read"], session.session_id)
    assert (key.daily_wei, key.daily_tokens) == (7, 9)
    assert key.expires_at is not None
    assert key.expires_at - timezone.now() > timedelta(hours=35)
    for wrong in ({"days": 0}, {"session": 10**9}, {"daily_wei": -1}):
        with pytest.raises(CommandError):
            call_command("create_api_key", name="ci", owner=OWNER, **wrong)
