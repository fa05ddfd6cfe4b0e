"""Runs a separate web process of a router, on this run's servers and test database."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import httpx
from django.db import connection

from tests.free_ports import free_port


@dataclass(frozen=True)
class RouterProcess:
    """A running web process."""

    url: str
    process: "subprocess.Popen[bytes]"

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return str(parts.hostname), int(parts.port or 0)

    def stop(self) -> None:
        """Ask the process to stop, as an operator does."""
        self.process.send_signal(signal.SIGTERM)


@contextmanager
def running_router(**environment: str) -> Iterator[RouterProcess]:
    """Run a web process while the context is open."""
    port = free_port()
    name = str(connection.settings_dict["NAME"])
    database = urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}"))
    process = subprocess.Popen(
        [sys.executable, "-m", "cortensor_site.server", "--port", str(port)],
        env=os.environ
        | {"DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": "tests.sessions.router_settings"}
        | environment,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 30
        while not _answers(url):
            assert process.poll() is None, "the web process has ended"
            assert time.monotonic() < until, "the web process does not answer"
            time.sleep(0.1)
        yield RouterProcess(url, process)
    finally:
        process.terminate()
        process.wait(20)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/v1/about").is_success
    except httpx.TransportError:
        return False
