"""Records the running work on disk, so that a new process knows what the last one died with.

An entry is made before any of the work reaches native code, and removed when the work ends, however
it ends. Entries that a new process finds were running when the last process died. The files are not
synced to the disk: a job can crash the process, but it cannot make the machine lose power.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mining.node.disk.files import forget_old

_RUNNING, _DIED = ".running", ".died"


@dataclass(frozen=True)
class Death:
    """Work that was running when a process of this node died, beside `others` other entries."""

    name: str
    others: int


class Journal:
    """The running work, with a file for each entry.

    Threads may share a journal, but only one process at a time may use its folder.

    Args:
        folder: the folder of the entries. Entries that it has at first are the last process'.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._let_go = False
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        forget_old(folder)
        running = sorted(folder.glob("*" + _RUNNING))
        self.deaths = [Death(path.stem, len(running) - 1) for path in running]
        """The work with which the last process died."""
        for path in running:
            path.rename(path.with_suffix(_DIED))

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        """Keep an entry for work while it runs."""
        path = self._folder / (name + _RUNNING)
        with self._lock:
            if not self._let_go:
                path.touch()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)

    def has_died(self, name: str) -> bool:
        """Tell whether a process of this node has died with this work."""
        return (self._folder / (name + _DIED)).exists()

    def let_go(self) -> None:
        """Remove all entries, since this process is about to exit deliberately."""
        with self._lock:
            self._let_go = True
            for path in self._folder.glob("*" + _RUNNING):
                path.unlink(missing_ok=True)
