"""Runs work of the `chain` app in a child process, which SIGKILL ends at a chosen step."""

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
    """Kill this process at once, as the machine may do."""
    os.kill(os.getpid(), signal.SIGKILL)


class Fuse:
    """Ends the process at the n-th step.

    A step is a statement to the database or a request to the RPC node, so the process can end
    between any two of them, commits and broadcasts included.
    """

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
        """Count a step."""
        self._left -= 1
        if self._left == 0:
            self._blow()

    def _executing(self, execute: Any, *arguments: Any) -> Any:
        self.burn()
        return execute(*arguments)


def in_a_process(work: Callable[[], object]) -> int:
    """Do the work in a child process. Return its `os.waitstatus_to_exitcode`."""
    connection.close()  # returns it to the pool, which only this process may use
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            # The child must not use a connection of its parent.
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
