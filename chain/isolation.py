"""Isolates pieces of work from each other, so that the failure of one does not stop the others.

A failure is logged, stored as a `Fault` for the operator, and the piece of work is tried again
after a growing pause. An unavailable server is not a failure of the work: that error is raised to
the process's loop, which waits for the server.
"""

import logging
import traceback
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import redis
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F
from django.utils import timezone

from chain.models import Fault

FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 60.0
FORGOTTEN_AFTER = timedelta(days=7)
MOST_REMEMBERED = 10_000
"""The most failures that one process remembers.

Beyond it, the oldest are forgotten, and their work is tried again at once.
"""
_AWAY = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.BusyLoadingError,
    redis.OutOfMemoryError,
    redis.ReadOnlyError,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Failed:
    times: int
    again_at: datetime


class Isolation:
    """Tries the pieces of one process's work. Not thread-safe.

    Args:
        process: the process's name, which operators see.
    """

    def __init__(self, process: str) -> None:
        self._process = process
        self._failed: dict[Hashable, _Failed] = {}

    def attempt(
        self, key: Hashable, item: object, work: Callable[[], object], now: datetime | None = None
    ) -> bool:
        """Do a piece of work, unless it is pausing after a failure. Return whether it was done.

        Args:
            key: identifies the piece of work, also in later calls.
            item: the name that operators see. It must not contain text from clients.
            work: does the work, and raises an exception if it fails.

        Raises:
            OperationalError, InterfaceError, RedisError: a server is unavailable.
        """
        now = now or timezone.now()
        if self.rests(key, now):
            return False
        failed = self._failed.get(key)
        try:
            work()
        except Exception as error:
            if is_away(error):
                raise
            logger.exception("%s: %s has failed; the rest goes on", self._process, item)
            self._remember(key, str(item), error, now)
            return False
        if failed is not None:
            self.forget(key, item)
        return True

    def rests(self, key: Hashable, now: datetime) -> bool:
        """Return whether a piece of work is pausing after a failure."""
        failed = self._failed.get(key)
        return failed is not None and now < failed.again_at

    def times(self, key: Hashable) -> int:
        """Return how many times in a row a piece of work has failed."""
        failed = self._failed.get(key)
        return 0 if failed is None else failed.times

    def again_at(self, key: Hashable) -> datetime | None:
        """Return when a failed piece of work may be tried again, or None if it has not failed."""
        failed = self._failed.get(key)
        return failed.again_at if failed is not None else None

    def forget(self, key: Hashable, item: object) -> None:
        """Forget the failures of a piece of work, and delete its fault."""
        self._failed.pop(key, None)
        Fault.objects.filter(process=self._process, item=str(item)[:200]).delete()

    def _remember(self, key: Hashable, item: str, error: Exception, now: datetime) -> None:
        before = self._failed.pop(key, None)
        times = before.times + 1 if before else 1
        pause_s = min(FIRST_PAUSE_S * 2 ** min(times - 1, 16), MAX_PAUSE_S)
        self._failed[key] = _Failed(times, now + timedelta(seconds=pause_s))
        if len(self._failed) > MOST_REMEMBERED:
            del self._failed[next(iter(self._failed))]
        record_fault(self._process, item, error, now)


def record_fault(process: str, item: str, error: Exception, now: datetime) -> None:
    """Store a failure for operators: the admin and `cortensor:faults` at /metrics show it."""
    values = {"error": type(error).__name__[:64], "place": _place(error), "last_at": now}
    rows = Fault.objects.filter(process=process, item=item[:200])
    with transaction.atomic():
        if not rows.update(count=F("count") + 1, **values):
            Fault.objects.bulk_create(
                [Fault(process=process, item=item[:200], first_at=now, **values)],
                ignore_conflicts=True,
            )
            # Delete old rows whenever a row is added, so that they cannot accumulate.
            Fault.objects.filter(last_at__lt=now - FORGOTTEN_AFTER).delete()


def is_away(error: Exception) -> bool:
    """Return whether an error means that a server is unavailable or out of memory.

    Django raises OperationalError for a deadlock or a value out of range as well. Those are
    failures of the piece of work: the connection still answers after them.
    """
    if isinstance(error, _AWAY):
        return True
    return isinstance(error, OperationalError | InterfaceError) and not connection.is_usable()


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename]
    frame = (own or frames)[-1]
    return f"{Path(frame.filename).stem}.{frame.name}, line {frame.lineno}"[:200]
