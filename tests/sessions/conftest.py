"""Every test of sessions has the same layers above, an empty Redis and its own storage."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from cortensor_site.asgi import application
from tests.serving import serve
from tests.sessions.api_client import Api, api_client
from tests.sessions.factories import OWNER, make_key


@pytest.fixture(autouse=True)
def layers_above(settings: Settings, tmp_path: Path, redis_url: str) -> None:
    """Point the ports of sessions to `tests.sessions.ports`."""
    for name in (
        *("PROMPT_COUNTER", "MINERS_ONLINE", "MINER_DIRECTORY", "EMBEDDER", "ANSWER_JUDGE"),
        *(
            "SESSIONS_OF_RESULT",
            "TASK_RECORDS",
            "KEPT_RESULTS",
            "TASK_GIVER",
            "ROUTER_HEALTH",
            "PARTS_AWAY",
            "ROUTER_ADDRESS",
        ),
    ):
        setattr(settings, name, f"tests.sessions.ports.{name.lower()}")
    settings.STORAGE_DIR = tmp_path / "blocks"


@pytest.fixture
def manager() -> str:
    """A key of OWNER that may do everything."""
    return make_key(OWNER, scopes=["read", "submit", "manage"])[1]


@pytest.fixture
def api(client: Client) -> Api:
    """A client of `/api/v1` that is given a key in each call."""
    return api_client(client)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The router's ASGI application behind a real server; its URL."""
    with serve(application) as url:
        yield url
