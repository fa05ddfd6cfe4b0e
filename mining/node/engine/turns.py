"""The thread that models compute on, where several take turns, step by step.

llama.cpp computes with OpenMP, whose threads belong to the thread that calls. Once a process has
more of them than processors, if only because another thread has called before, GNU's OpenMP lets
them sleep at each barrier, and a token has hundreds: on two processors it then took three times as
long (68 tokens a second, and 206). So there is one such thread in a process.
"""

import functools
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")

Turn = Callable[[], bool]
"""Computes one step, and says whether there is more to do. It raises nothing."""


class Turns:
    """A thread that computes whatever is due, each a step at a time."""

    def __init__(self, name: str) -> None:
        self._asked: queue.SimpleQueue[Turn | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def take(self, turn: Turn) -> None:
        """Call `turn` again and again, until it says that there is no more to do."""
        self._asked.put(turn)

    def ask(self, work: Callable[[], T]) -> "Future[T]":
        """Do something once, between the others' steps."""
        future: Future[T] = Future()

        def turn() -> bool:
            try:
                future.set_result(work())
            except Exception as error:
                future.set_exception(error)
            return False

        self._asked.put(turn)
        return future

    def close(self) -> None:
        """Stop once nothing is due any more."""
        self._asked.put(None)
        self._thread.join()

    def _run(self) -> None:
        due: deque[Turn] = deque()
        closing = False
        while due or not closing:
            for turn in self._newly_asked(wait=not due):
                if turn is None:
                    closing = True
                elif turn not in due:
                    due.append(turn)
            if due:
                turn = due.popleft()
                if turn():
                    due.append(turn)

    def _newly_asked(self, *, wait: bool) -> Iterator[Turn | None]:
        try:
            yield self._asked.get(block=wait)
            while True:
                yield self._asked.get_nowait()
        except queue.Empty:
            return


@functools.cache
def shared() -> Turns:
    """The one thread of this process for models that compute with several threads each."""
    return Turns("engines")
