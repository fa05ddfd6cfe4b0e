"""What the tests of access share: a deployment, and limits that they change."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from chain.deployed.contracts import Deployment

CHAIN_ID = 31337
SESSION_CONTRACT = "0x" + "5E" * 20


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
