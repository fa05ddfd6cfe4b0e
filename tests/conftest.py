"""Fixtures that every package's tests share."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import redis
from django.core.management.commands import flush
from django.db.backends.postgresql.operations import DatabaseOperations

from tests.anvil import anvil, chain, deployed
from tests.workers import WholeFiles, network_first

# Here and nowhere else: wherever it is imported, a fixture of the run is made anew.
__all__ = ["anvil", "chain", "deployed"]

OF_THE_MODELS = ("django_content_type", "auth_permission")
"""Tables whose rows `migrate` makes, one for each model and each right: no test changes them."""


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> WholeFiles:
    return WholeFiles(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    network_first(items)


@pytest.fixture
def redis_url() -> str:
    """The URL of the run's Redis, emptied for this test."""
    url = os.environ["REDIS_URL"]
    client = redis.Redis.from_url(url)
    client.flushall()
    client.close()
    return url


@pytest.fixture(scope="session", autouse=True)
def quick_flush() -> Iterator[None]:
    """After a test with real transactions, rows are deleted: for so few of them that is a hundred
    times faster than TRUNCATE, which makes new files for every table and index."""

    def delete(
        operations: DatabaseOperations, style: Any, tables: Sequence[str], **_: Any
    ) -> list[str]:
        # All in one request, and foreign keys are looked at when it ends.
        names = [operations.quote_name(table) for table in tables if table not in OF_THE_MODELS]
        return ["".join(f"DELETE FROM {name};" for name in names)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "sql_flush", delete)
        # Nor is there anything to make anew: it takes longer than all the rest.
        patch.setattr(flush, "emit_post_migrate_signal", lambda *_, **__: None)
        yield
