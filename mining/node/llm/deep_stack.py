"""Calls native code that recurses over untrusted input, on a stack too large to overflow.

llguidance reads a chain of rules by recursion. 3,000 rules overflow a thread's usual stack of 8 MB.
A stack overflow ends the process, and no exception handler can catch it.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

STACK_BYTES = 512 * 1024 * 1024
"""The size of the stack. The system provides memory only for the part that a call uses."""
_starting = threading.Lock()
"""Held while the stack size of new threads, a setting of the whole process, is changed."""
T = TypeVar("T")


def call_with_deep_stack(function: Callable[[], T]) -> T:
    """Call a function in a thread with a stack of STACK_BYTES.

    Return what the function returns, or raise what it raises.
    """
    outcome: Future[T] = Future()

    def work() -> None:
        try:
            outcome.set_result(function())
        except BaseException as error:  # PyO3 raises a panic as a BaseException
            outcome.set_exception(error)

    thread = threading.Thread(target=work, name="deep-stack", daemon=True)
    with _starting:
        before = threading.stack_size(STACK_BYTES)
        try:
            thread.start()
        finally:
            threading.stack_size(before)
    return outcome.result()
