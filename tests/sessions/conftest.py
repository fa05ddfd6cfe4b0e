"""Fixtures for all tests of sessions: test ports, an empty Redis and a separate content store."""

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
    """Register `tests.sessions.ports` in place of the layers above sessions."""
    before = ports.registered()
    ports.register(lambda: FAKES)
    settings.STORAGE_DIR = tmp_path / "blocks"
    yield
    ports.register(lambda: before)


@pytest.fixture
def manager() -> str:
    """The secret of a key of OWNER with all rights."""
    return make_key(OWNER, scopes=["read", "submit", "manage"])[1]


@pytest.fixture
def api(client: Client) -> Api:
    """A client of `/api/v1` that takes a key in each call."""
    return api_client(client)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a real server with the router's ASGI application."""
    with serve(application) as url:
        yield url
