"""A thin interface to supervisord, which keeps the processes running and restarts them."""

import os
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable, Sequence
from configparser import RawConfigParser
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from supervisor.xmlrpc import SupervisorTransport

from cortensor_site.stack.interrupts import uninterrupted
from cortensor_site.stack.processes import Process
from cortensor_site.stack.servers.embedded import BASE_DIR, StartFailed, spawn, stop

START_TIMEOUT_S = 20.0
# Longer than any process may take to finish its step, so that supervisord can stop them all.
STOP_TIMEOUT_S = 40.0
_GROUP = "network"
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "USER", "XDG_RUNTIME_DIR")


class Status(NamedTuple):
    """A process's state in supervisord (RUNNING, BACKOFF, FATAL, …), and its process id or 0."""

    state: str
    pid: int


class Supervisor:
    """A running supervisord, reached over its Unix socket.

    Args:
        stack: stops supervisord, and with it every process, when it closes.
        folder: contains the configuration, the socket and one log for each process.
        keeps: file descriptors that supervisord inherits, but none of the processes.

    The environment of a process consists of its own `Process.environment` and a few general
    variables such as PATH and HOME, so that miners do not see the router's secrets.
    """

    def __init__(
        self,
        stack: ExitStack,
        folder: Path,
        processes: Iterable[Process],
        *,
        keeps: Sequence[int] = (),
    ) -> None:
        self.log_dir = folder / "logs"
        self.log_dir.mkdir(parents=True, exist_ok=True)
        # The path of a Unix socket must be short, which a path in a temporary folder may not be.
        self._socket = folder / "supervisor.sock"
        self._socket.unlink(missing_ok=True)
        config = folder / "supervisord.conf"
        config.touch(mode=0o600)  # the file contains the processes' secrets
        with config.open("w") as file:
            self._configuration(folder, processes).write(file)
        with uninterrupted():
            self._process = spawn(
                [sys.executable, "-m", "supervisor.supervisord", "--nodaemon"]
                + ["--configuration", str(config)],
                self.log_dir / "supervisord.out",
                {name: os.environ[name] for name in _INHERITED if name in os.environ},
                keeps=keeps,
            )
            stack.callback(stop, self._process, STOP_TIMEOUT_S)
        self._wait_until_it_answers()

    def pid(self, name: str) -> int:
        """Return the id of a process, or 0 if it is not running."""
        return int(self._info(name)["pid"])

    def statuses(self) -> dict[str, Status]:
        """Return the status of each process by its name."""
        rows: Any = self._rpc().getAllProcessInfo()
        return {str(row["name"]): Status(str(row["statename"]), int(row["pid"])) for row in rows}

    def start(self, name: str) -> None:
        """Start a process and wait until it runs."""
        self._rpc().startProcess(f"{_GROUP}:{name}")

    def stop(self, name: str) -> None:
        """Stop a process and do not restart it."""
        self._rpc().stopProcess(f"{_GROUP}:{name}")

    def last_words(self, name: str, length: int = 2000) -> str:
        """Return the end of a process's log."""
        log = self.log_dir / f"{name}.log"
        return log.read_text(errors="replace")[-length:] if log.exists() else ""

    def _rpc(self) -> Any:
        # Open a connection for each call: supervisor's transport is unusable after a failed call.
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        return xmlrpc.client.ServerProxy("http://supervisor", transport=transport).supervisor

    def _info(self, name: str) -> dict[str, Any]:
        info: Any = self._rpc().getProcessInfo(f"{_GROUP}:{name}")
        return dict(info)

    def _configuration(self, folder: Path, processes: Iterable[Process]) -> RawConfigParser:
        config = RawConfigParser()
        config["unix_http_server"] = {"file": str(self._socket), "chmod": "0700"}
        config["rpcinterface:supervisor"] = {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        }
        config["supervisord"] = {
            "logfile": str(self.log_dir / "supervisord.log"),
            "pidfile": str(folder / "supervisord.pid"),
            "directory": str(BASE_DIR),
        }
        if os.geteuid() == 0:
            config["supervisord"]["user"] = "root"
        processes = list(processes)
        # Use one group: supervisord stops groups one by one, but the members of a group together.
        config[f"group:{_GROUP}"] = {"programs": ",".join(p.name for p in processes)}
        for process in processes:
            config[f"program:{process.name}"] = {
                "command": subprocess.list2cmdline(process.command).replace("%", "%%"),
                "environment": ",".join(
                    f'{key}="{value}"'.replace("%", "%%")
                    for key, value in process.environment.items()
                ),
                "autorestart": "true",
                "startsecs": "1",
                "startretries": "5",
                "stopwaitsecs": str(process.stop_timeout_s),
                "stopasgroup": "true",
                "killasgroup": "true",
                "redirect_stderr": "true",
                "stdout_logfile": str(self.log_dir / f"{process.name}.log"),
                "stdout_logfile_maxbytes": "10MB",
                "stdout_logfile_backups": "1",
            }
        return config

    def _wait_until_it_answers(self) -> None:
        until = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < until and self._process.poll() is None:
            try:
                self.statuses()
            except (OSError, xmlrpc.client.Error):
                time.sleep(0.05)
            else:
                return
        out = (self.log_dir / "supervisord.out").read_text(errors="replace")[-2000:]
        raise StartFailed(f"supervisord did not answer: {out}")
