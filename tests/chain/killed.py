"""A part of the chain's work in a process of its own, which SIGKILL ends at a chosen step."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

from django.db import connection

from chain.rpc.client import Rpc

Fault = Callable[[], None]


def sigkill() -> None:
    """What the machine does to a process."""
    os.kill(os.getpid(), signal.SIGKILL)


class Fuse:
    """Blows at the n-th step, a step being a statement to the database or a request to the node;
    between, before and after any two of them, that is, transactions and broadcasts included."""

    def __init__(self, steps: int, blow: Fault) -> None:
        self._left = steps
        self._blow = blow
        self._post = Rpc._post

    def __enter__(self) -> "Fuse":
        post = self._post

        def posting(rpc: Rpc, method: str, body: Any) -> Any:
            self.burn()
            return post(rpc, method, body)

        Rpc._post = posting  # type: ignore[method-assign]
        self._wrapper = connection.execute_wrapper(self._executing)
        self._wrapper.__enter__()
        return self

    def __exit__(self, *_: Any) -> None:
        Rpc._post = self._post  # type: ignore[method-assign]
        self._wrapper.__exit__(None, None, None)

    def burn(self) -> None:
        """One step."""
        self._left -= 1
        if self._left == 0:
            self._blow()

    def _executing(self, execute: Any, *arguments: Any) -> Any:
        self.burn()
        return execute(*arguments)


def in_a_process(work: Callable[[], object]) -> int:
    """Do the work in a child process; return how it ended, as `os.waitstatus_to_exitcode` does."""
    connection.close()  # back into the pool, which stays this process's own
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            # None of the parent's connections: two processes would speak on one line.
            connection.connection = None
            connection.settings_dict["OPTIONS"].pop("pool", None)
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)
