"""The API's schema describes the API, and a fuzzer that reads it finds no failure."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from django.test import Client
from django.urls import get_resolver
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sessions.faces.openapi import examples
from sessions.faces.rest.schema import completions, views
from sessions.models import SessionState, Task
from sessions.stages import task_states
from tests.sessions.factories import make_key, make_session, make_task
from tests.sessions.router_process import RouterProcess, running_router

pytestmark = pytest.mark.django_db(transaction=True)

EXAMPLES = 40
PATHS = [
    "about",
    "info",
    "status",
    "ping",
    "miners",
    "sessions",
    "completions",
    "sessions/{session_id}",
    "completions/{session_id}",
    "tasks/{session_id}",
    "tasks/{session_id}/{task_id}",
    "tasks/{session_id}/{task_id}/stream",
    "tasks/{session_id}/{task_id}/cancel",
]
PATHS_V2 = [
    "completions",
    "completions/{session_id}",
    "validate",
    "miners",
    "sessions",
    "sessions/{session_id}",
    "tasks/{session_id}",
    "tasks/{session_id}/{task_id}",
]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def router(django_db_setup: None, django_db_blocker: Any) -> Iterator[RouterProcess]:
    with django_db_blocker.unblock(), running_router() as running:
        yield running


@pytest.fixture(scope="module")
def described() -> Any:
    return Client().get("/api/schema").json()


@pytest.fixture
def ended() -> Task:
    """A task that has ended, in a session that takes no more."""
    make_task(make_session())
    task = make_task(make_session(state=SessionState.INACTIVE))
    task_states.mark_failed(task, "gone", "no miner is left")
    return task


def test_every_path_of_the_api_is_described_with_an_example(described: Any) -> None:
    assert described["openapi"].startswith("3.1")
    routed = {
        re.sub(r"<\w+:(\w+)>", r"{\1}", f"/{resolver.pattern}{pattern.pattern}")
        for resolver in get_resolver().url_patterns
        if str(resolver.pattern) in ("api/v1/", "api/v2/", "v1/")
        for pattern in resolver.url_patterns
        if str(pattern.pattern)
    }
    assert routed <= set(described["paths"])
    for path, operations in described["paths"].items():
        for operation in operations.values():
            told = {
                status: answer
                for status, answer in operation["responses"].items()
                if status.startswith("2") and status != "204"
            }
            if not told:
                assert "204" in operation["responses"], path
                continue
            [answer] = told.values()
            [content, *_] = answer["content"].values()
            assert content.get("example") or content.get("examples"), path


def test_the_page_of_the_description_takes_everything_from_this_host(client: Client) -> None:
    page = client.get("/api/docs").content.decode()
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert links
    for link in links:
        assert link.startswith("/static/")
        assert client.get(link).status_code == 200


@pytest.mark.parametrize(
    "path", [*(f"/api/v1/{path}" for path in PATHS), *(f"/api/v2/{path}" for path in PATHS_V2)]
)
def test_a_fuzzer_gets_documented_answers_only(
    path: str, described: Any, router: RouterProcess, ended: Task
) -> None:
    _, secret = make_key()
    headers = {"Authorization": f"Bearer {secret}"}
    ids = {"session_id": ended.session_id, "task_id": ended.task_id}
    [(method, described_as)] = described["paths"][path].items()
    operation = schemathesis.openapi.from_dict(described)[path][method]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), known=st.booleans(), junk=st.binary(max_size=40))
    def fuzz(case: schemathesis.Case, known: bool, junk: bytes) -> None:
        if known:
            case.path_parameters |= {name: ids[name] for name in case.path_parameters}
        answer = case.call(base_url=router.url, headers=headers, timeout=10)
        case.validate_response(answer, checks=CHECKS)
        if "requestBody" in described_as:
            refused = httpx.post(router.url + path, content=junk, headers=headers)
            assert refused.headers["content-type"] == "application/problem+json"
            assert 400 <= refused.status_code < 500

    fuzz()


def test_pages_filters_and_orders_are_as_users_of_the_framework_expect(client: Client) -> None:
    _, secret = make_key()
    sessions = [make_session(name=name) for name in ("a", "b", "b")]
    numbers = [session.session_id for session in sessions]
    headers = {"Authorization": f"Bearer {secret}"}

    def listed(query: str, status: int = 200) -> Any:
        response = client.get(f"/api/v1/sessions{query}", headers=headers)
        assert response.status_code == status, response.content
        return response

    def ids(query: str) -> list[int]:
        return [row["session_id"] for row in listed(query).json()["sessions"]]

    assert ids("?ordering=session_id") == numbers
    assert ids("?ordering=-session_id") == ids("") == numbers[::-1]
    assert ids("?name=b&ordering=session_id") == numbers[1:]
    page = listed("?limit=2&ordering=session_id")
    assert page["X-Total-Count"] == "3"
    assert 'rel="next"' in page["Link"]
    assert "offset=2" in page["Link"]
    for query in ("?ordering=owner", "?limit=0", "?limit=x", "?offset=-1", "?mode=x"):
        assert listed(query, 400)["Content-Type"] == "application/problem+json"


def test_tasks_are_filtered_by_stage_and_time(client: Client) -> None:
    _, secret = make_key()
    session = make_session()
    old, new = make_task(session), make_task(session)
    task_states.mark_failed(new, "gone", "no miner is left")
    headers = {"Authorization": f"Bearer {secret}"}

    def ids(query: str) -> list[int]:
        response = client.get(f"/api/v1/tasks/{session.session_id}{query}", headers=headers)
        return [row["task_id"] for row in response.json()["tasks"]]

    assert ids("?ordering=created_at") == [old.task_id, new.task_id]
    assert ids("?status=failed") == [new.task_id]
    assert ids("?created_before=2001-01-01T00:00:00Z") == []
    for early in ("2001-01-01T00:00:00Z", "0797-08-09T19:45:27%2B21:13", "2001-01-01T00:00"):
        assert ids(f"?created_after={early}") == [new.task_id, old.task_id]
    for wrong in ("yesterday", "2001-13-01T00:00:00Z", "0001-01-01T00:00:00%2B23:00"):
        response = client.get(
            f"/api/v1/tasks/{session.session_id}?created_after={wrong}", headers=headers
        )
        assert response.status_code == 400


def test_the_examples_have_the_members_that_are_described() -> None:
    assert set(examples.COMPLETION) == set(completions.COMPLETION["required"])
    assert len(views.DESCRIBED) == 11
