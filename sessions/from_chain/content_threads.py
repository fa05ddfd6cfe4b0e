"""Reads the contents of many submissions at once, so that none waits for a slow one.

New submissions have threads of their own. One whose content did not come at once is tried again in
others, and a session has only a share of either, so that nobody holds up the others by submitting
what is never found.
"""

import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import NamedTuple

from django.db import connection
from django.utils import timezone

from sessions.from_chain import submissions
from sessions.models import DirectSubmission

FIRST_THREADS, AGAIN_THREADS = 16, 8

logger = logging.getLogger(__name__)


class Lane(NamedTuple):
    """Whose threads, of which kind: a session's number, and whether it is a first attempt."""

    session_id: int
    is_first: bool


def choose(due: Sequence[DirectSubmission], busy: Mapping[int, Lane]) -> list[DirectSubmission]:
    """Which of those that are due begin now.

    Args:
        due: in their order.
        busy: those that threads work on, by primary key.
    """
    lanes = Counter(busy.values())
    room = {True: FIRST_THREADS, False: AGAIN_THREADS}
    for lane in busy.values():
        room[lane.is_first] -= 1
    chosen = []
    for submission in due:
        lane = lane_of(submission)
        if (
            submission.pk in busy
            or room[lane.is_first] <= 0
            or lanes[lane] >= submissions.SESSION_SHARE
        ):
            continue
        room[lane.is_first] -= 1
        lanes[lane] += 1
        chosen.append(submission)
    return chosen


def lane_of(submission: DirectSubmission) -> Lane:
    """The threads that a submission's next attempt takes."""
    return Lane(submission.session_id, submission.attempts == 0)


class SubmissionThreads:
    """Threads that take submissions. `start_due` may be called from any thread."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(FIRST_THREADS + AGAIN_THREADS, "submission")
        self._lock = threading.Lock()
        self._busy: dict[int, Lane] = {}
        self._is_closed = False

    def start_due(self, now: datetime) -> None:
        """Begin with what is due, as far as there are threads for it."""
        with self._lock:
            if self._is_closed:
                return
            for submission in choose(submissions.due(now), self._busy):
                self._busy[submission.pk] = lane_of(submission)
                self._threads.submit(self._attempt, submission)

    def close(self) -> None:
        """Wait for what was begun, and begin nothing more."""
        with self._lock:
            self._is_closed = True
        self._threads.shutdown()

    def _attempt(self, submission: DirectSubmission) -> None:
        try:
            submissions.attempt(submission)
        except Exception:  # the claim has set when it is tried again
            logger.exception("%s was not taken from the chain", submission)
        finally:
            with self._lock:
                del self._busy[submission.pk]
            self._go_on()

    def _go_on(self) -> None:
        """Begin with what has waited for this thread."""
        try:
            self.start_due(timezone.now())
        except Exception:
            logger.exception("due submissions wait for the next look")
        finally:
            connection.close()
