"""The loop of a long-running process: a step, a wait, and no end for a passing failure."""

import logging
import threading
from collections.abc import Callable

from django.db import OperationalError, close_old_connections
from django.db.utils import InterfaceError
from redis import RedisError

PAUSE_S = 1.0

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
