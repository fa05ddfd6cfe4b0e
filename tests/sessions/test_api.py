"""The REST interface as a client meets it: shapes to the letter, every error in one form."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from sessions import intake, streams, task_states
from sessions.models import ApiKey, OnChainTask, Session, SessionState, Task
from tests.sessions.factories import STRANGER, make_key, make_request, make_session, make_task
from tests.sessions.ports import CONTEXT_LENGTH, ROUTER

pytestmark = pytest.mark.django_db(transaction=True)

MINER, OTHER_MINER = "0x" + "b2" * 20, "0x" + "e5" * 20
Api = Callable[..., HttpResponse]


@pytest.fixture
def api(client: Client) -> Api:
    _, secret = make_key()

    def call(method: str, path: str, body: Any = None, key: str | None = secret) -> HttpResponse:
        headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
        data = body if isinstance(body, bytes | str) else json.dumps(body)
        return client.generic(
            method, f"/api/v1/{path}", data, content_type="application/json", headers=headers
        )

    return call


def assert_problem(response: HttpResponse, status: int, field: str | None = None) -> dict[str, Any]:
    problem = json.loads(response.content)
    assert response.status_code == status, problem
    assert response["Content-Type"] == "application/problem+json"
    assert {"type", "title", "status", "detail", "errors"} <= set(problem)
    assert problem["status"] == status
    if field is not None:
        assert [error["field"] for error in problem["errors"]] == [field]
        assert problem["errors"][0]["reason"]
    return problem


def answered(session: Session, *results: streams.Result) -> str:
    """A reference whose task already has its answer, so that asking for it returns at once."""
    request = make_request(client_reference="ready")
    task = intake.accept(request, session=session, api_key=None)
    for status in ("assigned", "precommitted", "committed"):
        getattr(task_states, f"mark_{status}")(task, [MINER])
    task_states.mark_validated(task, results)
    return "ready"


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
    assert api("GET", "sessions", key=secret).json() == {"sessions": []}
    with pytest.raises(CommandError, match="40 hex digits"):
        call_command("create_api_key", name="ci", owner="alice")


# ── the router about itself ──────────────────────────────────────────────────


def test_about_is_public(api: Api) -> None:
    assert api("GET", "about", key=None).json()["name"] == "Cortensor router"


def test_info_names_the_routers_address_and_its_models(api: Api) -> None:
    make_session()
    info = api("GET", "info").json()
    assert info["address"] == ROUTER
    assert info["models"] == [
        {
            "model_identifier": 1,
            "context_length": CONTEXT_LENGTH,
            "input_price_wei": "2",
            "output_price_wei": "3",
        }
    ]


def test_status_names_what_is_not_alive(api: Api) -> None:
    assert api("GET", "status").json() == {
        "status": "degraded",
        "components": {"router": True, "dispatch": True, "sync": False},
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
    assert shown["routers"] == [{"address": ROUTER, "index": 0, "metadata": ""}]


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
        *("queued", "assigned", "first_token", "failed")
    ]
    assert shown["outcome"] == {"code": "gone", "message": "no miner is left"}
    assert shown["on_chain"]["reserved_wei"] == str(10**20)
    assert (shown["miners"], shown["distances"]) == ([], [])
    assert_problem(api("GET", f"tasks/{session.session_id}/1"), 404)


def test_unknown_addresses_and_methods_are_problems_too(api: Api) -> None:
    assert_problem(api("GET", "nothing/here"), 404)
    assert_problem(api("POST", "sessions", {}), 405)
    assert_problem(api("GET", "completions"), 405)


# ── completions ──────────────────────────────────────────────────────────────


def test_a_completion_has_openais_shape_with_one_choice_a_miner_best_first(api: Api) -> None:
    session = make_session(redundancy=2)
    answered(
        session,
        streams.Result(MINER, "four", "stop", 3, 1),
        streams.Result(OTHER_MINER, "4", "length", 3, 2),
    )
    body = {"prompt": "two words", "max_tokens": 8, "client_reference": "ready", "junk": [1]}
    completion = api("POST", f"completions/{session.session_id}", body).json()
    task = Task.objects.get()
    assert completion == {
        "id": f"cmpl-{session.session_id}-{task.task_id}",
        "object": "text_completion",
        "created": int(task.created_at.timestamp()),
        "model": "1",
        "session_id": session.session_id,
        "task_id": task.task_id,
        "choices": [
            {
                "index": 0,
                "text": "four",
                "finish_reason": "stop",
                "logprobs": None,
                "address": MINER,
            },
            {
                "index": 1,
                "text": "4",
                "finish_reason": "length",
                "logprobs": None,
                "address": OTHER_MINER,
            },
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6},
    }


def test_both_addresses_take_the_session_and_must_agree(api: Api) -> None:
    session = make_session(redundancy=2)
    sid = session.session_id
    answered(session, streams.Result(MINER, "four", "stop", 3, 1))
    body = {"prompt": "two words", "max_tokens": 8, "client_reference": "ready"}
    assert api("POST", "completions", body | {"session_id": sid}).status_code == 200
    assert api("POST", f"completions/{sid}", body | {"session_id": sid}).status_code == 200
    assert_problem(
        api("POST", f"completions/{sid}", body | {"session_id": sid + 1}), 400, "session_id"
    )
    assert_problem(api("POST", "completions", body), 400, "session_id")


def test_no_result_that_counts_is_an_error_with_the_tasks_id(api: Api) -> None:
    session = make_session(redundancy=2)
    answered(session)
    body = {"prompt": "two words", "max_tokens": 8, "client_reference": "ready"}
    problem = assert_problem(api("POST", f"completions/{session.session_id}", body), 502)
    assert problem["task_id"] == Task.objects.get().task_id


def test_a_task_that_takes_too_long_is_named_for_later(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessions.api.completion_views.wait_s", lambda _: 0.05)
    session = make_session()
    problem = assert_problem(
        api("POST", f"completions/{session.session_id}", {"prompt": "hello", "max_tokens": 8}),
        504,
    )
    assert problem["task_id"] == Task.objects.get().task_id


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("session_id", "1"),
        ("session_id", True),
        ("session_id", 0),
        ("session_id", 2**63),
        ("prompt", 7),
        ("prompt", ""),
        ("prompt", "nul \x00"),
        ("prompt", "\ud800"),
        ("prompt", ["a"]),
        ("prompt_type", "raw"),
        ("prompt_type", 3),
        ("prompt_template", {}),
        ("stream", "yes"),
        ("stream", 1),
        ("timeout", "60"),
        ("timeout", 1.5),
        ("timeout", 0),
        ("client_reference", 5),
        ("client_reference", "r" * 129),
        ("client_reference", "ä" * 100),
        ("max_tokens", 0),
        ("max_tokens", "8"),
        ("max_tokens", 10**30),
        ("max_miners", 0),
        ("temperature", "hot"),
        ("temperature", -0.1),
        ("temperature", 2.5),
        ("top_p", 0),
        ("top_p", 1.1),
        ("top_k", -1),
        ("top_k", 1.5),
        ("presence_penalty", -1),
        ("frequency_penalty", -0.5),
        ("stop", "end"),
        ("stop", ["a", "b", "c", "d", "e"]),
        ("stop", [""]),
        ("stop", ["x" * 65]),
        ("stop", [1]),
    ],
)
def test_a_wrong_value_is_a_400_that_names_its_field(api: Api, field: str, value: Any) -> None:
    body = {"session_id": 1, "prompt": "hello"} | {field: value}
    problem = assert_problem(api("POST", "completions", body), 400)
    assert [error["field"].split(".")[0] for error in problem["errors"]] == [field]
    assert Task.objects.count() == 0


def test_penalties_below_zero_are_told_to_be_unserved(api: Api) -> None:
    body = {"session_id": 1, "prompt": "hello", "presence_penalty": -1}
    assert "not served yet" in assert_problem(api("POST", "completions", body), 400)["detail"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "null",
        '"text"',
        b"\xff\xfe",
        '{"prompt": NaN}',
        '{"a":' * 100_000,
        '{"session_id": ' + "9" * 5000 + "}",
    ],
)
def test_a_body_that_is_no_json_object_is_a_400(api: Api, body: str | bytes) -> None:
    assert_problem(api("POST", "completions", body), 400)


def test_a_missing_prompt_is_named(api: Api) -> None:
    assert_problem(api("POST", "completions", {"session_id": 1}), 400, "prompt")


def test_null_says_no_more_than_a_missing_member(api: Api) -> None:
    session = make_session()
    body = {"session_id": session.session_id, "prompt": "hello", "temperature": None, "stop": None}
    Session.objects.update(state=SessionState.INACTIVE)
    assert_problem(api("POST", "completions", body), 409)


def test_a_body_beyond_all_bounds_is_a_413(api: Api, settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    assert_problem(api("POST", "completions", {"prompt": "x" * 2000}), 413)


def test_refusals_of_the_intake_reach_the_client_with_their_figures(
    api: Api, settings: Settings
) -> None:
    session = make_session(deposited_wei=1)
    sid = session.session_id
    body = {"prompt": "hello", "max_tokens": 8}
    problem = assert_problem(api("POST", f"completions/{sid}", body), 402)
    assert problem["available_wei"] == "1"
    assert int(problem["needed_wei"]) > 1
    assert "depositToSession" in problem["remedy"]
    long = {"prompt": " ".join(["w"] * 100)}
    problem = assert_problem(api("POST", f"completions/{sid}", long), 400, "prompt")
    assert (problem["prompt_tokens"], problem["context_length"]) == (101, CONTEXT_LENGTH)
    assert_problem(api("POST", "completions/999999", body), 404)
    settings.MINERS_ONLINE = "tests.sessions.ports.no_miners_online"
    response = api("POST", f"completions/{sid}", body)
    assert_problem(response, 503)
    assert int(response["Retry-After"]) > 0


def test_an_unexpected_error_tells_nothing(api: Api, settings: Settings) -> None:
    settings.TASK_RECORDS = "tests.sessions.secret.module"
    session = make_session()
    task = make_task(session)
    problem = assert_problem(api("GET", f"tasks/{session.session_id}/{task.task_id}"), 500)
    assert "secret" not in json.dumps(problem)


# ── request ids ──────────────────────────────────────────────────────────────


def test_a_request_id_is_echoed_and_logged(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "sessions.api.requests")
    response = client.get("/api/v1/about", headers={"X-Request-ID": "order-7"})
    assert response["X-Request-ID"] == "order-7"
    assert "order-7" in caplog.text


@pytest.mark.parametrize("sent", ["", "x" * 129, "two words"])
def test_an_unfit_request_id_is_replaced(client: Client, sent: str) -> None:
    response = client.get("/api/v1/about", headers={"X-Request-ID": sent} if sent else {})
    assert len(response["X-Request-ID"]) == 32
