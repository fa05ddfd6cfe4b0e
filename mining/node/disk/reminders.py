"""Schedules precommits to be reported again, since Redis may have lost the first report.

A router ignores a precommit that it knows already. It has received a precommit once it asks for the
reveal. It repeats that request by itself until it has the reveal, so reveals need no reminders.
"""

import threading
import time

from mining.node.disk.stash import Stash

FIRST_S = 10.0
"""The first pause. Normally a router asks for the reveal within a few seconds."""
GROWTH = 2.0
"""The factor by which each pause is longer than the last."""
FOR_S = 3600.0
"""The last reminders come after about this time. No task survives an outage that is longer."""


class Reminders:
    """The precommits to report again, with their times. Threads may share it."""

    def __init__(self, stash: Stash) -> None:
        self._stash = stash
        self._lock = threading.Lock()
        # At its start a node reports all of them at once: Redis may have crashed together with it.
        self._next = dict.fromkeys(stash.unanswered(FOR_S), (0.0, FIRST_S))

    def reported(self, assignment_id: str) -> None:
        """Note that a precommit is being reported. Only the first report counts."""
        with self._lock:
            self._next.setdefault(assignment_id, (time.monotonic() + FIRST_S, FIRST_S))

    def answered(self, assignment_id: str) -> None:
        """Note that the router has received a precommit, or no longer needs it."""
        with self._lock:
            self._next.pop(assignment_id, None)
        self._stash.mark_answered(assignment_id)

    def due(self) -> list[str]:
        """Return the assignments whose precommits are due, and schedule their next reminders."""
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
