"""A thread on which several models compute in turns, one step at a time.

llama.cpp computes with OpenMP. OpenMP's worker threads belong to the thread that calls it, so a
second calling thread gets workers of its own. Once a process has more such workers than processors,
GNU's OpenMP lets them sleep at each barrier, and each token has hundreds of barriers. On two
processors this made a model three times slower (68 instead of 206 tokens per second). So all
engines that compute with several threads call llama.cpp from one thread of the process.
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
"""Computes one step and returns whether there is more to do. Must not raise."""


class Turns:
    """A thread that runs turns: one step of each in rotation."""

    def __init__(self, name: str) -> None:
        self._asked: queue.SimpleQueue[Turn | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def take(self, turn: Turn) -> None:
        """Call `turn` repeatedly until it returns False."""
        self._asked.put(turn)

    def ask(self, work: Callable[[], T]) -> "Future[T]":
        """Run `work` once between the steps of the turns, and return a future of its result."""
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
        """Wait until no turn has more to do, then stop the thread."""
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
    """Return the process's one thread for models that compute with several threads each."""
    return Turns("engines")
