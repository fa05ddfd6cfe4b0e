"""Fixtures: a tiny model, an engine that runs it, and a shelf with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mining.node.engine.batch_engine import Engine
from mining.node.shelf.shelf import Shelf, ShelvedModel
from tests.node import tiny_model
from tests.node.bench import Bench
from tests.node.router import router, servers

__all__ = ["router", "servers"]


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's file."""
    return tiny_model.write(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture(scope="session")
def engine(model_path: Path) -> Iterator[Engine]:
    """An engine with four slots. Each test has to end its generations."""
    engine = Engine(model_path, slots=4)
    yield engine
    engine.close()


@pytest.fixture
def shelf(engine: Engine) -> Shelf:
    """A shelf with the tiny model, which has the identifier 1."""
    return Shelf([ShelvedModel(1, engine.prompts, 0, lambda: engine)])


@pytest.fixture
def bench(redis_url: str, shelf: Shelf, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(redis_url, shelf, tmp_path)
    yield bench
    bench.miner.close()
    bench.mailbox.close()
    bench.redis.close()
