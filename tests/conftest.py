"""Fixtures that the tests of all packages share."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import redis
from django.core.management.commands import flush
from django.db.backends.postgresql.operations import DatabaseOperations

from tests.anvil import anvil, chain, deployed
from tests.workers import WholeFiles, network_first

# Only this module imports them: each import of a session fixture creates another instance.
__all__ = ["anvil", "chain", "deployed"]

OF_THE_MODELS = ("django_content_type", "auth_permission")
"""Tables whose rows `migrate` creates for models and permissions. No test changes them."""


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
    """Delete the rows after a test with real transactions, instead of truncating the tables.

    For a few rows this is a hundred times faster than TRUNCATE, which creates new files for every
    table and index.
    """

    def delete(
        operations: DatabaseOperations, style: Any, tables: Sequence[str], **_: Any
    ) -> list[str]:
        # One request runs as one transaction, which checks foreign keys at its end.
        names = [operations.quote_name(table) for table in tables if table not in OF_THE_MODELS]
        return ["".join(f"DELETE FROM {name};" for name in names)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "sql_flush", delete)
        # The signal would recreate the rows of OF_THE_MODELS, which still exist. It takes longer
        # than all the rest.
        patch.setattr(flush, "emit_post_migrate_signal", lambda *_, **__: None)
        yield
