"""The network's data folder, which only one network uses at a time."""

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from cortensor_site.stack.servers.embedded import StartFailed

STOPPING_S = 60.0
"""Longer than the supervisor of a killed network takes to stop its processes."""


class VarDirInUse(StartFailed):
    """Another network uses the folder."""

    def __init__(self, folder: Path, pid: str) -> None:
        super().__init__(
            f"{folder} is in use: a network already runs there (process {pid}); stop it with"
            " Ctrl-C, or give this network another folder with VAR_DIR=<folder>, and other ports"
        )


def hold(stack: ExitStack, folder: Path, report: Callable[[str], None]) -> int:
    """Lock a folder for this network until the stack closes. Return the lock's file descriptor.

    A process that inherits the descriptor keeps the lock too. If a network was killed, its
    supervisor still holds the lock, and this function waits until it has stopped.

    Raises:
        VarDirInUse: a running network uses the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file: IO[str] = stack.enter_context((folder / "lock").open("a+"))
    until = time.monotonic() + STOPPING_S
    is_told = False
    while not _try_to_lock(file):
        file.seek(0)
        pid = file.read().strip()
        if _runs(pid) or time.monotonic() > until:
            raise VarDirInUse(folder, pid)
        if not is_told:
            report(f"{folder}: the last network's processes are still stopping: waiting")
            is_told = True
        time.sleep(0.2)
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file.fileno()


def _try_to_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _runs(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
