"""Completions over REST: the shape of an answer, and every refusal with its field."""

import json
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from sessions.faces.common.completion_body import read_completion
from sessions.intake import acceptance
from sessions.models import Session, SessionState, Task
from sessions.ports import TaskRecords
from sessions.results import TaskResult
from sessions.stages import task_states
from tests.sessions.factories import make_request, make_session, make_task
from tests.sessions.ports import CONTEXT_LENGTH, no_miners_online, replace_ports
from tests.sessions.rest import MINER, OTHER_MINER, Api, answered, api, assert_problem

__all__ = ["api"]

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_completion_has_openais_shape_with_one_choice_a_miner_best_first(api: Api) -> None:
    session = make_session(redundancy=2)
    answered(
        session,
        TaskResult(MINER, "four", "stop", 3, 1),
        TaskResult(OTHER_MINER, "4", "length", 3, 2),
    )
    body = {"prompt": "two words", "max_tokens": 8, "junk": [1]}
    completion = api(
        "POST", f"completions/{session.session_id}", body, Idempotency_Key="ready"
    ).json()
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
    sid, key = session.session_id, {"Idempotency_Key": "ready"}
    answered(session, TaskResult(MINER, "four", "stop", 3, 1))
    body = {"prompt": "two words", "max_tokens": 8}
    assert api("POST", "completions", body | {"session_id": sid}, **key).status_code == 200
    assert api("POST", f"completions/{sid}", body | {"session_id": sid}, **key).status_code == 200
    assert_problem(
        api("POST", f"completions/{sid}", body | {"session_id": sid + 1}), 400, "session_id"
    )
    assert_problem(api("POST", "completions", body), 400, "session_id")


def test_no_result_that_counts_is_an_error_with_the_tasks_id(api: Api) -> None:
    session = make_session(redundancy=2)
    answered(session)
    body = {"prompt": "two words", "max_tokens": 8}
    asked = api("POST", f"completions/{session.session_id}", body, Idempotency_Key="ready")
    problem = assert_problem(asked, 502)
    assert problem["task_id"] == Task.objects.get().task_id


def test_a_task_that_takes_too_long_is_named_for_later(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessions.faces.common.answering.wait_s", lambda _: 0.05)
    session = make_session()
    problem = assert_problem(
        api("POST", f"completions/{session.session_id}", {"prompt": "hello", "max_tokens": 8}),
        504,
    )
    assert problem["task_id"] == Task.objects.get().task_id


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_cut_to_the_context_says_so(api: Api, stream: bool) -> None:
    session = make_session()
    for max_tokens, said in ((64_000, str(CONTEXT_LENGTH - 3)), (8, None)):
        request = make_request(max_tokens=max_tokens, idempotency_key=f"{max_tokens}")
        task = acceptance.accept(request, session=session, api_key=None)
        for status in ("assigned", "precommitted", "committed"):
            getattr(task_states, f"mark_{status}")(task, [MINER])
        task_states.mark_validated(task, [TaskResult(MINER, "four", "stop", 3, 1)])
        body = {"prompt": "two words", "max_tokens": max_tokens, "stream": stream}
        path = f"completions/{session.session_id}"
        response = api("POST", path, body, Idempotency_Key=str(max_tokens))
        assert response.status_code == 200
        assert response.headers.get("X-Max-Tokens") == said


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("session_id", bad) for bad in ("", " 1", "+1", "1.0", "0x1", "one", "١", "9" * 20, [1])),
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


def test_refusals_of_the_intake_reach_the_client_with_their_figures(api: Api) -> None:
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
    replace_ports(miners_online=no_miners_online)
    response = api("POST", f"completions/{make_session().session_id}", body)
    assert_problem(response, 503)
    assert int(response["Retry-After"]) > 0
    assert not Task.objects.exists()


def test_an_answer_may_be_asked_to_be_longer_than_the_context() -> None:
    session = make_session()
    body = json.dumps({"prompt": "two words", "max_tokens": 4096}).encode()
    request = read_completion(body, session.session_id).request
    task = acceptance.accept(request, session=session, api_key=None)
    assert task.max_tokens == CONTEXT_LENGTH - task.max_input_tokens


def fail_with_a_secret(task: Task) -> TaskRecords:
    raise RuntimeError("a secret of the router's")


def test_an_unexpected_error_tells_nothing(api: Api) -> None:
    replace_ports(task_records=fail_with_a_secret)
    session = make_session()
    task = make_task(session)
    problem = assert_problem(api("GET", f"tasks/{session.session_id}/{task.task_id}"), 500)
    assert "secret" not in json.dumps(problem)
