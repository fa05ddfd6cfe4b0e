"""Fixtures for tests of access: a deployment, and a function that changes limits."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from chain.deployed.contracts import Deployment

CHAIN_ID = 31337
SESSION_CONTRACT = "0x" + "5E" * 20


@pytest.fixture
def network(settings: Settings, tmp_path: Path) -> Deployment:
    """The deployment in the router's settings."""
    settings.DEPLOYMENT_FILE = tmp_path / "deployment.json"
    deployed = Deployment(CHAIN_ID, start_block=1, addresses={"Session": SESSION_CONTRACT})
    deployed.save(settings.DEPLOYMENT_FILE)
    return deployed


@pytest.fixture
def limits(settings: Settings) -> Callable[..., None]:
    """A function that changes some limits for this test."""

    def change(**values: int) -> None:
        assert set(values) <= set(settings.LIMITS)
        settings.LIMITS = settings.LIMITS | values

    return change
