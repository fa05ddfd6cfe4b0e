"""The loops of a long-running process: a step, a wait, and no end for a passing failure."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import OperationalError, close_old_connections, connection
from django.db.utils import InterfaceError
from redis import RedisError

PAUSE_S = 1.0
JOIN_S = 5.0
"""How long the process's end waits for a step beside its loop. The next process repeats it."""

logger = logging.getLogger(__name__)


def keep_doing(step: Callable[[], object], stop: threading.Event, beat: Callable[[], None]) -> None:
    """Do `step` until `stop` is set. A database or Redis that is away for a while is waited for.

    Any other error ends the loop, and the process with it: its supervisor starts a fresh one.
    """
    while not stop.is_set():
        try:
            beat()
            step()
        except (OperationalError, InterfaceError, RedisError, ConnectionError):
            logger.exception("a server is away; going on in %s s", PAUSE_S)
            close_old_connections()
            stop.wait(PAUSE_S)


@contextmanager
def beside(
    name: str, step: Callable[[], object], every_s: float, stop: threading.Event
) -> Iterator[None]:
    """Do `step` every so often in a thread of its own, as long as the block lasts.

    For work that may be slow: the block's loop does not wait for it, and no failure of it ends
    anything.
    """
    ends = threading.Event()

    def work() -> None:
        try:
            while not (ends.is_set() or stop.is_set()):
                try:
                    step()
                except Exception:
                    logger.exception("%s: going on in %s s", name, every_s)
                close_old_connections()
                ends.wait(every_s)
        finally:
            connection.close()

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join(JOIN_S)
