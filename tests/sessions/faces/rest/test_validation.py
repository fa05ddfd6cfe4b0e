"""`/api/v2`: comparing a client's answer with the network's, and completions as in v1."""

import json
from collections.abc import Callable
from typing import Any, cast

import pytest
from django.http import HttpResponse
from django.test import Client

from sessions.intake import acceptance
from sessions.models import Session, Task
from sessions.ports import MinerRecord, TaskRecords
from sessions.results import TaskResult
from sessions.stages import task_states
from tests.sessions.factories import STRANGER, make_key, make_request, make_session, make_task
from tests.sessions.ports import replace_ports

pytestmark = pytest.mark.django_db(transaction=True)

ALICE, BOB, CHEAT = ("0x" + pair * 20 for pair in ("aa", "bb", "cc"))
Api = Callable[..., HttpResponse]


@pytest.fixture
def api(client: Client) -> Api:
    _, secret = make_key()

    def call(path: str, body: Any, key: str = secret, **named: str) -> HttpResponse:
        headers = {"Authorization": f"Bearer {key}"}
        headers |= {name.replace("_", "-"): value for name, value in named.items()}
        return client.generic(
            "POST", f"/api/v2/{path}", json.dumps(body), "application/json", headers=headers
        )

    return call


def record(address: str, text: str | None, accuracy_bps: int | None) -> MinerRecord:
    known = {"address": address, "text": text, "accuracy_bps": accuracy_bps}
    return cast(MinerRecord, dict.fromkeys(MinerRecord.__annotations__) | known)


def judged_records(task: Task) -> TaskRecords:
    return TaskRecords(
        [
            record(CHEAT, "five", 0),
            record(ALICE, "two is four", 10_000),
            record(BOB, "is two four", 9_000),
        ]
    )


def body(session: Session, **members: Any) -> dict[str, Any]:
    return {"session_id": session.session_id, **members}


def test_an_answer_is_compared_with_the_results_that_count(api: Api) -> None:
    replace_ports(task_records=judged_records)
    session = make_session(redundancy=3)
    task = make_task(session)
    shown = api("validate", body(session, task_id=task.task_id, answer="is two four")).json()
    assert shown == {
        "session_id": session.session_id,
        "task_id": task.task_id,
        "valid": True,
        "accuracy_bps": 10_000,
        "distance": 0.0,
        "references": [
            {"address": BOB, "accuracy_bps": 10_000, "distance": 0.0},
            {"address": ALICE, "accuracy_bps": 9_000, "distance": 0.1},
        ],
    }
    shown = api("validate", body(session, task_id=task.task_id, answer="five")).json()
    assert (shown["valid"], shown["accuracy_bps"]) == (False, 0)


def test_a_member_that_is_null_says_no_more_than_one_that_is_missing(api: Api) -> None:
    session = make_session()
    asked = body(session, task_id=None, prompt=None, answer="four")
    assert api("validate", asked).json()["errors"][0]["field"] == "prompt"


def test_a_task_without_a_result_that_counts_compares_with_nothing(api: Api) -> None:
    session = make_session()
    response = api("validate", body(session, task_id=make_task(session).task_id, answer="x"))
    assert response.status_code == 409
    assert response.json()["type"].endswith("nothing_to_compare")


def test_a_prompt_is_answered_by_the_network_first_and_paid(api: Api) -> None:
    session = make_session(redundancy=2)
    task = acceptance.accept(make_request(idempotency_key="ready"), session=session, api_key=None)
    for status in ("assigned", "precommitted", "committed"):
        getattr(task_states, f"mark_{status}")(task, [ALICE])
    task_states.mark_validated(task, [TaskResult(ALICE, "it is four", "stop", 3, 3)])
    asked = {"prompt": "two words", "max_tokens": 8}
    shown = api(
        "validate", body(session, answer="four it is", **asked), Idempotency_Key="ready"
    ).json()
    assert (shown["task_id"], shown["valid"], shown["accuracy_bps"]) == (task.task_id, True, 9_000)
    assert task.reserve_wei > 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"answer": None}, "answer"),
        ({"answer": 5}, "answer"),
        ({"task_id": "one"}, "task_id"),
        ({"task_id": -1}, "task_id"),
        ({"session_id": None}, "session_id"),
        ({"prompt": 7}, "prompt"),
        ({}, "prompt"),
    ],
)
def test_a_wrong_value_is_a_400_that_names_its_field(
    api: Api, change: dict[str, Any], field: str
) -> None:
    response = api("validate", body(make_session(), answer="x") | change)
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
    assert [error["field"] for error in response.json()["errors"]] == [field]


def test_what_belongs_to_others_is_not_there(api: Api) -> None:
    session = make_session(owner=STRANGER)
    asked = body(session, task_id=make_task(session).task_id, answer="x")
    assert api("validate", asked).status_code == 404
    mine = make_session()
    assert api("validate", body(mine, task_id=99, answer="x")).status_code == 404
    assert api("validate", asked, key="cor_wrong").status_code == 401


def test_completions_are_those_of_v1(api: Api) -> None:
    response = api("completions/999999", {"prompt": "hello"})
    assert response.status_code == 404
    assert response.json()["type"].endswith("session_not_found")
    assert api("nothing", {}).status_code == 404
