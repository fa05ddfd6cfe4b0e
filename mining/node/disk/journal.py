"""What this node is working on, on disk, so that a process that dies is known to have died by it.

Work is noted before anything of it reaches native code, and struck out when it has ended, however
it has. What a new process finds noted was running when the last one died. Nothing is synced to the
disk: a process can die by a job, and a machine that loses power does not lose it by a job.
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
    """Work that ran when a process of this node died, and beside how many others."""

    name: str
    others: int


class Journal:
    """The work in hand, one file each. One process at a time may use a folder; threads share it.

    Args:
        folder: what is noted there as running was running when the last process died.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._let_go = False
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        forget_old(folder)
        running = sorted(folder.glob("*" + _RUNNING))
        self.deaths = [Death(path.stem, len(running) - 1) for path in running]
        """What the last process died with."""
        for path in running:
            path.rename(path.with_suffix(_DIED))

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        """Note work while it runs."""
        path = self._folder / (name + _RUNNING)
        with self._lock:
            if not self._let_go:
                path.touch()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)

    def has_died(self, name: str) -> bool:
        """Whether a process of this node has died with this work."""
        return (self._folder / (name + _DIED)).exists()

    def let_go(self) -> None:
        """Strike everything out: this process ends by its own will, and by none of its work."""
        with self._lock:
            self._let_go = True
            for path in self._folder.glob("*" + _RUNNING):
                path.unlink(missing_ok=True)
