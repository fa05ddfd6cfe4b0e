"""Precommits that the router has not answered to: said again, since Redis may have lost them.

The router takes what it knows already for no news. It has heard of a precommit once it asks for the
reveal, which it does again by itself until it has that.
"""

import threading
import time

from mining.node.disk.stash import Stash

FIRST_S = 10.0
"""In normal operation a reveal is asked for within a few seconds."""
GROWTH = 2.0
FOR_S = 3600.0
"""Longer than an outage may last that a task survives."""


class Reminders:
    """What to say again, and when. Threads may share it."""

    def __init__(self, stash: Stash) -> None:
        self._stash = stash
        self._lock = threading.Lock()
        # Who starts says all at once that may not have been heard: it may have died with Redis.
        self._next = dict.fromkeys(stash.unanswered(FOR_S), (0.0, FIRST_S))

    def reported(self, assignment_id: str) -> None:
        """A precommit goes out for the first time."""
        with self._lock:
            self._next.setdefault(assignment_id, (time.monotonic() + FIRST_S, FIRST_S))

    def answered(self, assignment_id: str) -> None:
        """The router has heard of it, or needs it no more."""
        with self._lock:
            self._next.pop(assignment_id, None)
        self._stash.mark_answered(assignment_id)

    def due(self) -> list[str]:
        """What is to be said again now, each time after a longer pause."""
        now = time.monotonic()
        with self._lock:
            due = [each for each, (at, _) in self._next.items() if at <= now]
            for assignment_id in due:
                _, pause_s = self._next[assignment_id]
                if pause_s > FOR_S:
                    del self._next[assignment_id]
                else:
                    self._next[assignment_id] = (now + pause_s, pause_s * GROWTH)
        return due
