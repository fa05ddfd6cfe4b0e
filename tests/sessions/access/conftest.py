"""What the tests of access share: a deployment, and a client of the REST interface."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from pytest_django.fixtures import Settings

from chain.contracts import Deployment
from tests.sessions.factories import OWNER, make_key

CHAIN_ID = 31337
SESSION_CONTRACT = "0x" + "5E" * 20
Api = Callable[..., HttpResponse]


@pytest.fixture
def network(settings: Settings, tmp_path: Path) -> Deployment:
    """The deployment that the router's settings name."""
    settings.DEPLOYMENT_FILE = tmp_path / "deployment.json"
    deployed = Deployment(CHAIN_ID, start_block=1, addresses={"Session": SESSION_CONTRACT})
    deployed.save(settings.DEPLOYMENT_FILE)
    return deployed


@pytest.fixture
def limits(settings: Settings) -> Callable[..., None]:
    """Changes limits for this test; the others stay."""

    def change(**values: int) -> None:
        assert set(values) <= set(settings.LIMITS)
        settings.LIMITS = settings.LIMITS | values

    return change


@pytest.fixture
def manager() -> str:
    """A key of OWNER that may do everything."""
    return make_key(OWNER, scopes=["read", "submit", "manage"])[1]


@pytest.fixture
def api(client: Client) -> Api:
    """A client of `/api/v1` with a key of its own in each call."""

    def call(
        method: str, path: str, body: Any = None, key: str | None = None, **headers: str
    ) -> HttpResponse:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        data = body if isinstance(body, bytes | str) else json.dumps(body)
        return client.generic(
            method, f"/api/v1/{path}", data, content_type="application/json", headers=sent
        )

    return call


def problem_of(response: HttpResponse, status: int) -> dict[str, Any]:
    """A problem document with this status."""
    document: dict[str, Any] = json.loads(response.content)
    assert response.status_code == status, document
    assert response["Content-Type"] == "application/problem+json"
    return document
