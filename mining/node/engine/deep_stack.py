"""Calling native code that recurses over a stranger's input, on a stack that the input cannot fill.

llguidance reads a chain of rules by recursion: 3,000 rules overflow a thread's usual 8 MB, and a
stack overflow ends the process; no handler of errors sees it.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

STACK_BYTES = 512 * 1024 * 1024
"""Address space only: the system gives memory for the part that a call reaches."""
_starting = threading.Lock()
"""The size of new stacks is the process's, so one thread at a time changes it."""
T = TypeVar("T")


def call_with_deep_stack(function: Callable[[], T]) -> T:
    """Call a function in a thread with a stack of STACK_BYTES; return or raise what it does."""
    outcome: Future[T] = Future()

    def work() -> None:
        try:
            outcome.set_result(function())
        except BaseException as error:  # a panic of Rust is no Exception
            outcome.set_exception(error)

    thread = threading.Thread(target=work, name="deep-stack", daemon=True)
    with _starting:
        before = threading.stack_size(STACK_BYTES)
        try:
            thread.start()
        finally:
            threading.stack_size(before)
    return outcome.result()
