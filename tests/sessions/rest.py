"""A client of `/api/v1` with its own key, and functions that read its responses."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from sessions.intake import acceptance
from sessions.models import Session
from sessions.results import TaskResult
from sessions.stages import task_states
from tests.sessions.factories import make_key, make_request

MINER, OTHER_MINER = "0x" + "b2" * 20, "0x" + "e5" * 20
Api = Callable[..., HttpResponse]


@pytest.fixture
def api(client: Client) -> Api:
    _, secret = make_key()

    def call(
        method: str, path: str, body: Any = None, key: str | None = secret, **headers: str
    ) -> HttpResponse:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
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


def answered(session: Session, *results: TaskResult) -> str:
    """Return the key of a request that is answered already: its repetition returns at once."""
    request = make_request(idempotency_key="ready")
    task = acceptance.accept(request, session=session, api_key=None)
    for status in ("assigned", "precommitted", "committed"):
        getattr(task_states, f"mark_{status}")(task, [MINER])
    task_states.mark_validated(task, results)
    return "ready"
