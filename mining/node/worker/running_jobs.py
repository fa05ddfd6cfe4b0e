"""Which assignments a miner is working on, and what has been said about them meanwhile.

A cancellation may come before its job does, and both may come twice.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mining.node.engine.generation import Cancelled, Generation

_REMEMBERED = 1000
"""Cancellations and shortenings of jobs that may yet come."""


class RunningJobs:
    """The jobs at work, by assignment. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, Generation | None] = {}
        self._cancelled: OrderedDict[str, None] = OrderedDict()
        self._shortened: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        with self._lock:
            return len(self._running)

    @contextmanager
    def once(self, assignment_id: str) -> Iterator[bool]:
        """Whether this is the only delivery of an assignment that is being worked on."""
        with self._lock:
            first = assignment_id not in self._running
            if first:
                self._running[assignment_id] = None
        try:
            yield first
        finally:
            if first:
                with self._lock:
                    del self._running[assignment_id]

    def begin(
        self, assignment_id: str, submit: Callable[[], Generation], enough_characters: int
    ) -> Generation:
        """Start an assignment's generation, which ends with so many characters if not below 0.

        Raises Cancelled, and what `submit` raises.
        """
        with self._lock:
            self.require_wanted(assignment_id)
            generation = self._running[assignment_id] = submit()
            enough = self._shortened.get(assignment_id, enough_characters)
            if enough >= 0:
                generation.shorten(enough)
            return generation

    def require_wanted(self, assignment_id: str) -> None:
        """Raise Cancelled for an assignment that was cancelled before it came."""
        if assignment_id in self._cancelled:
            raise Cancelled("generation: it was cancelled before it started")

    def cancel(self, assignment_id: str) -> None:
        """End a generation, or see to it that it never starts."""
        with self._lock:
            self._cancelled[assignment_id] = None
            while len(self._cancelled) > _REMEMBERED:
                self._cancelled.popitem(last=False)
            generation = self._running.get(assignment_id)
        if generation is not None:
            generation.cancel()

    def shorten(self, assignment_id: str, characters: int) -> None:
        """End a generation once it has so many characters, now or when it starts."""
        with self._lock:
            self._shortened[assignment_id] = characters
            while len(self._shortened) > _REMEMBERED:
                self._shortened.popitem(last=False)
            generation = self._running.get(assignment_id)
        if generation is not None:
            generation.shorten(characters)
