"""Every test of sessions has the same layers above, an empty Redis and its own storage."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from django.test import Client
from pytest_django.fixtures import Settings

from cortensor_site.asgi import application
from tests.sessions.api_client import Api, api_client
from tests.sessions.factories import OWNER, make_key


@pytest.fixture(autouse=True)
def layers_above(settings: Settings, tmp_path: Path, redis_url: str) -> None:
    """Point the ports of sessions to `tests.sessions.ports`."""
    for name in (
        *("PROMPT_COUNTER", "MINERS_ONLINE", "MINER_DIRECTORY", "EMBEDDER", "ANSWER_JUDGE"),
        *("TASK_RECORDS", "ROUTER_HEALTH", "ROUTER_ADDRESS"),
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
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(application, lifespan="off", log_level="warning")
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        running.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
