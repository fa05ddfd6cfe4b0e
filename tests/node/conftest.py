"""A tiny model and an engine that runs it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mining.node.engine import Engine
from tests.node import tiny_model


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's file."""
    return tiny_model.write(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture(scope="session")
def engine(model_path: Path) -> Iterator[Engine]:
    """An engine with four slots; tests leave nothing running in it."""
    engine = Engine(model_path, slots=4)
    yield engine
    engine.close()
