"""Every test of sessions has the same layers above, an empty Redis and its own storage."""

from pathlib import Path

import pytest
from pytest_django.fixtures import Settings


@pytest.fixture(autouse=True)
def layers_above(settings: Settings, tmp_path: Path, redis_url: str) -> None:
    """Point the ports of sessions to `tests.sessions.ports`."""
    for name in (
        *("PROMPT_COUNTER", "MINERS_ONLINE", "MINER_DIRECTORY", "EMBEDDER", "ANSWER_JUDGE"),
        *("TASK_RECORDS", "ROUTER_HEALTH", "ROUTER_ADDRESS"),
    ):
        setattr(settings, name, f"tests.sessions.ports.{name.lower()}")
    settings.STORAGE_DIR = tmp_path / "blocks"
