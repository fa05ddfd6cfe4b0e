"""Threads that read the contents of many submissions at once, so that slow contents delay no other.

First attempts and repeated attempts have separate threads, and a session may use only a share of
each. So a client cannot delay the others by submitting contents that are never found.
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
    """The threads that an attempt uses: a share of one session, for first or repeated attempts."""

    session_id: int
    is_first: bool


def choose(due: Sequence[DirectSubmission], busy: Mapping[int, Lane]) -> list[DirectSubmission]:
    """Return the due submissions to start now.

    Args:
        due: the due submissions, in their order.
        busy: the submissions that threads work on, by primary key.
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
    """Return the lane of a submission's next attempt."""
    return Lane(submission.session_id, submission.attempts == 0)


class SubmissionThreads:
    """Threads that process submissions. Any thread may call `start_due`."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(FIRST_THREADS + AGAIN_THREADS, "submission")
        self._lock = threading.Lock()
        self._busy: dict[int, Lane] = {}
        self._is_closed = False

    def start_due(self, now: datetime) -> None:
        """Start the due submissions for which threads are free."""
        with self._lock:
            if self._is_closed:
                return
            for submission in choose(submissions.due(now), self._busy):
                self._busy[submission.pk] = lane_of(submission)
                self._threads.submit(self._attempt, submission)

    def close(self) -> None:
        """Start nothing more, and wait for the attempts under way."""
        with self._lock:
            self._is_closed = True
        self._threads.shutdown()

    def _attempt(self, submission: DirectSubmission) -> None:
        try:
            submissions.attempt(submission)
        except Exception:  # the claim has already scheduled the next attempt
            logger.exception("%s was not taken from the chain", submission)
        finally:
            with self._lock:
                del self._busy[submission.pk]
            self._go_on()

    def _go_on(self) -> None:
        """Start a submission that has waited for this thread."""
        try:
            self.start_due(timezone.now())
        except Exception:
            logger.exception("due submissions wait for the next look")
        finally:
            connection.close()
