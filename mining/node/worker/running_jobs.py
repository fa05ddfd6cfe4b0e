"""The assignments that a miner is working on, with their cancellations and shortenings.

A cancellation may arrive before its job, and each of them may arrive twice.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mining.node.engine.generation import Cancelled, Generation

_REMEMBERED = 1000
"""How many cancellations and shortenings are kept for jobs that may still arrive."""


class RunningJobs:
    """The running jobs, by assignment. Threads may share it."""

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
        """Mark an assignment as running.

        Yield False if it is running already, because its job was delivered twice.
        """
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
        """Start an assignment's generation.

        Args:
            assignment_id: the assignment.
            submit: starts the generation.
            enough_characters: how many characters of the answer are enough; -1 for all.

        Raises:
            Cancelled: the assignment was cancelled before. Whatever `submit` raises is passed on.
        """
        with self._lock:
            self.require_wanted(assignment_id)
            generation = self._running[assignment_id] = submit()
            enough = self._shortened.get(assignment_id, enough_characters)
            if enough >= 0:
                generation.shorten(enough)
            return generation

    def require_wanted(self, assignment_id: str) -> None:
        """Raise Cancelled if an assignment has been cancelled."""
        if assignment_id in self._cancelled:
            raise Cancelled("generation: it was cancelled before it started")

    def cancel(self, assignment_id: str) -> None:
        """End an assignment's generation, or prevent it from starting."""
        with self._lock:
            self._cancelled[assignment_id] = None
            while len(self._cancelled) > _REMEMBERED:
                self._cancelled.popitem(last=False)
            generation = self._running.get(assignment_id)
        if generation is not None:
            generation.cancel()

    def shorten(self, assignment_id: str, characters: int) -> None:
        """End an assignment's answer once it has `characters` characters.

        This also applies if its generation has not started.
        """
        with self._lock:
            self._shortened[assignment_id] = characters
            while len(self._shortened) > _REMEMBERED:
                self._shortened.popitem(last=False)
            generation = self._running.get(assignment_id)
        if generation is not None:
            generation.shorten(characters)
