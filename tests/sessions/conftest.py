"""Every test of sessions has the same layers above, an empty Redis and its own storage."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from cortensor_site.asgi import application
from sessions import ports
from tests.serving import serve
from tests.sessions.api_client import Api, api_client
from tests.sessions.factories import OWNER, make_key
from tests.sessions.ports import FAKES


@pytest.fixture(autouse=True)
def layers_above(settings: Settings, tmp_path: Path, redis_url: str) -> Iterator[None]:
    """Have `tests.sessions.ports` stand above sessions."""
    before = ports.registered()
    ports.register(lambda: FAKES)
    settings.STORAGE_DIR = tmp_path / "blocks"
    yield
    ports.register(lambda: before)


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
