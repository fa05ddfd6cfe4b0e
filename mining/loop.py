"""Loops of long-running processes, which continue after temporary failures."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import OperationalError, close_old_connections, connection
from django.db.utils import InterfaceError
from redis import RedisError

PAUSE_S = 1.0
JOIN_S = 5.0
"""How long a process that ends waits for a step in another thread. The next process repeats it."""

logger = logging.getLogger(__name__)


def keep_doing(step: Callable[[], object], stop: threading.Event, beat: Callable[[], None]) -> None:
    """Call `beat` and `step` until `stop` is set.

    If PostgreSQL or Redis is unavailable, log the error, pause and continue. Any other exception
    ends the loop and the process, and the supervisor starts a new one.
    """
    while not stop.is_set():
        try:
            beat()
            step()
        except (OperationalError, InterfaceError, RedisError, ConnectionError):
            logger.exception("a server is unavailable; trying again in %s s", PAUSE_S)
            close_old_connections()
            stop.wait(PAUSE_S)


@contextmanager
def beside(
    name: str, step: Callable[[], object], every_s: float, stop: threading.Event
) -> Iterator[None]:
    """Call `step` in a thread of its own every `every_s` seconds while the block runs.

    Use it for work that may be slow: the block does not wait for it. A failure of `step` is logged,
    and the thread continues.
    """
    ends = threading.Event()

    def work() -> None:
        try:
            while not (ends.is_set() or stop.is_set()):
                try:
                    step()
                except Exception:
                    logger.exception("%s: trying again in %s s", name, every_s)
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
