"""The REST API as a client uses it: exact shapes, and one form of errors."""

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from eth_utils.address import to_checksum_address

from sessions.models import ApiKey, OnChainTask, SessionState
from sessions.stages import task_states
from tests.sessions.factories import STRANGER, make_key, make_session, make_task
from tests.sessions.ports import CONTEXT_LENGTH, ROUTER
from tests.sessions.rest import MINER, Api, api, assert_problem

__all__ = ["api"]

pytestmark = pytest.mark.django_db(transaction=True)


# ── keys ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["info", "status", "ping", "miners", "sessions", "tasks/1"])
@pytest.mark.parametrize("key", [None, "", "cor_wrong", "cor_" + "x" * 43])
def test_every_address_wants_a_key(api: Api, path: str, key: str | None) -> None:
    response = api("GET", path, key=key)
    assert_problem(response, 401)
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_a_completion_wants_a_key(api: Api) -> None:
    response = api("POST", "completions", {"prompt": "x"}, key="cor_wrong")
    assert_problem(response, 401)
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_a_revoked_key_is_a_wrong_key(api: Api) -> None:
    key, secret = make_key()
    assert api("GET", "ping", key=secret).status_code == 200
    ApiKey.objects.filter(pk=key.pk).update(revoked_at=timezone.now())
    assert_problem(api("GET", "ping", key=secret), 401)


def test_a_keys_use_is_noted_but_not_every_time(api: Api) -> None:
    key, secret = make_key()
    api("GET", "ping", key=secret)
    first = ApiKey.objects.get(pk=key.pk).last_used_at
    api("GET", "ping", key=secret)
    assert first is not None
    assert ApiKey.objects.get(pk=key.pk).last_used_at == first


def test_only_the_hash_of_a_key_is_kept() -> None:
    key, secret = make_key()
    row = ApiKey.objects.filter(pk=key.pk).values().get()
    assert all(secret not in str(value) for value in row.values())


def test_the_command_makes_a_key_that_works(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("create_api_key", name="ci", owner=STRANGER)
    secret = capsys.readouterr().out.strip()
    assert api("GET", "sessions", key=secret).json() == {"sessions": [], "count": 0}
    with pytest.raises(CommandError, match="40 hex digits"):
        call_command("create_api_key", name="ci", owner="alice")


# ── what clients say out of habit ────────────────────────────────────────────


@pytest.mark.parametrize("accepted", ["text/html", "text/event-stream", "application/xml"])
def test_an_answer_is_json_whatever_is_accepted(client: Client, accepted: str) -> None:
    response = client.get("/api/v1/about", headers={"Accept": accepted})
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")


@pytest.mark.parametrize("path", ["/api", "/api/v1", "/api/v3/info", "/v1"])
def test_an_address_beside_the_interface_is_a_404_that_programs_read(
    client: Client, path: str
) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert response["Content-Type"].startswith("application/")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/v1/completions", "POST"),
        ("/api/v1/x402/completions", "POST"),
        ("/api/v2/validate", "POST"),
        ("/api/v1/tasks/1/1/stream", "GET"),
        ("/v1/chat/completions", "POST"),
        ("/v1/embeddings", "POST"),
    ],
)
def test_a_405_names_the_method_that_is_allowed(client: Client, path: str, allowed: str) -> None:
    response = client.put(path)
    assert (response.status_code, response["Allow"]) == (405, allowed)


# ── the router about itself ──────────────────────────────────────────────────


def test_about_is_public(api: Api) -> None:
    assert api("GET", "about", key=None).json()["name"] == "Cortensor router"


def test_info_names_the_routers_address_and_its_models(api: Api) -> None:
    make_session()
    info = api("GET", "info").json()
    assert info["address"] == to_checksum_address(ROUTER)
    assert info["models"] == [
        {
            "model_identifier": 1,
            "context_length": CONTEXT_LENGTH,
            "defaults": {
                "max_tokens": 48,
                "temperature": 0.7,
                "top_p": 0.9,
                "top_k": 40,
                "presence_penalty": 0.1,
                "frequency_penalty": 0.2,
            },
            "input_price_wei": "2",
            "output_price_wei": "3",
        }
    ]


def test_status_names_what_is_not_alive(api: Api) -> None:
    assert api("GET", "status").json() == {
        "status": "degraded",
        "components": {"router": True, "miners": True, "dispatch": True, "sync": False},
    }


def test_miners_are_listed(api: Api) -> None:
    assert api("GET", "miners").json()["miners"][0]["address"] == MINER


# ── sessions and tasks ───────────────────────────────────────────────────────


def test_a_client_sees_its_active_sessions_and_no_others(api: Api) -> None:
    mine = make_session(deposited_wei=10**30)
    make_session(owner=STRANGER)
    make_session(state=SessionState.INACTIVE)
    [shown] = api("GET", "sessions").json()["sessions"]
    assert shown["session_id"] == mine.session_id
    assert shown["balance_wei"] == str(10**30)
    assert shown["owner"] == to_checksum_address(mine.owner)
    assert shown["routers"] == [
        {"address": to_checksum_address(ROUTER), "index": 0, "metadata": ""}
    ]


def test_what_belongs_to_others_is_not_there(api: Api) -> None:
    session = make_session(owner=STRANGER)
    task = make_task(session)
    sid = session.session_id
    for path in (
        f"sessions/{sid}",
        f"tasks/{sid}",
        f"tasks/{sid}/{task.task_id}",
        "sessions/99999",
    ):
        assert_problem(api("GET", path), 404)


def test_tasks_come_in_pages_the_newest_first(api: Api) -> None:
    session = make_session()
    tasks = [make_task(session) for _ in range(3)]
    path = f"tasks/{session.session_id}?limit=2"
    first = api("GET", path).json()
    second = api("GET", f"{path}&before={first['next']}").json()
    shown = [row["task_id"] for row in first["tasks"] + second["tasks"]]
    assert shown == [task.task_id for task in reversed(tasks)]
    assert second["next"] is None
    assert_problem(api("GET", f"tasks/{session.session_id}?limit=-1"), 400, "limit")


def test_a_task_shows_its_stages_its_outcome_and_the_chains_side(api: Api) -> None:
    session = make_session()
    task = make_task(session)
    task_states.mark_assigned(task, [MINER])
    task_states.mark_first_token(task)
    task_states.mark_failed(task, "gone", "no miner is left")
    OnChainTask.objects.create(
        session_id=task.session_id, task_id=task.task_id, reserved_wei=10**20, submit_tx="0xab"
    )
    shown = api("GET", f"tasks/{session.session_id}/{task.task_id}").json()
    assert [stage["status"] for stage in shown["stages"]] == [
        "queued",
        "assigned",
        "first_token",
        "failed",
    ]
    assert shown["outcome"] == {"code": "gone", "message": "no miner is left"}
    assert shown["on_chain"]["reserved_wei"] == str(10**20)
    assert (shown["miners"], shown["distances"]) == ([], [])
    assert_problem(api("GET", f"tasks/{session.session_id}/1"), 404)


def test_unknown_addresses_and_methods_are_problems_too(api: Api) -> None:
    assert_problem(api("GET", "nothing/here"), 404)
    assert_problem(api("POST", "sessions", {}), 405)
    assert_problem(api("GET", "completions"), 405)


# ── request ids ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sent", ["order-7", "order 7", "x" * 128])
def test_a_request_id_is_echoed_and_logged(
    client: Client, caplog: pytest.LogCaptureFixture, sent: str
) -> None:
    caplog.set_level("INFO", "sessions.faces.common.request_id")
    response = client.get("/api/v1/about", headers={"X-Request-ID": sent})
    assert response["X-Request-ID"] == sent
    assert sent in caplog.text


def test_a_host_that_is_not_the_routers_is_no_matter_but_for_addresses_and_pages(
    client: Client,
) -> None:
    for path in ("/api/v1/about", "/healthz"):
        assert client.get(path, HTTP_HOST="router.example:5010").status_code == 200
    for _ in range(2):
        make_session()
    _, secret = make_key()
    headers = {"Authorization": f"Bearer {secret}", "Host": "router.example:5010"}
    assert client.get("/api/v1/ping", headers=headers).status_code == 200
    assert_problem(client.get("/api/v1/sessions?limit=1", headers=headers), 400, "Host")
    assert client.get("/", HTTP_HOST="router.example:5010").status_code == 400


@pytest.mark.parametrize("sent", ["", "x" * 129, "tab\there"])
def test_an_unfit_request_id_is_replaced(client: Client, sent: str) -> None:
    response = client.get("/api/v1/about", headers={"X-Request-ID": sent} if sent else {})
    assert len(response["X-Request-ID"]) == 32
