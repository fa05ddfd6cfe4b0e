"""Work that is tried piece by piece, so that one piece's failure stops no other.

What fails is logged, kept as a `Fault` for the operator, and tried again after a pause that grows.
A server that is away is nobody's fault: the error goes on to the loop, which waits for it.
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
"""Of one process. Beyond that the oldest are forgotten, and tried again at once."""
_AWAY = (
    *(redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError),
    *(redis.OutOfMemoryError, redis.ReadOnlyError),
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Failed:
    times: int
    again_at: datetime


class Isolation:
    """Tries the pieces of one process's work. For one thread.

    Args:
        process: whose work it is; operators see it.
    """

    def __init__(self, process: str) -> None:
        self._process = process
        self._failed: dict[Hashable, _Failed] = {}

    def attempt(
        self, key: Hashable, item: object, work: Callable[[], object], now: datetime | None = None
    ) -> bool:
        """Do a piece of work, unless it has failed lately; whether it was done.

        Args:
            key: what tells the piece from others, the next time as well.
            item: what operators call it. It must not contain what strangers wrote.

        Raises:
            OperationalError, InterfaceError, RedisError: a server is away.
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
        """Whether a piece has failed so lately that it is left alone."""
        failed = self._failed.get(key)
        return failed is not None and now < failed.again_at

    def times(self, key: Hashable) -> int:
        """How often a piece has failed, one time after another."""
        failed = self._failed.get(key)
        return 0 if failed is None else failed.times

    def again_at(self, key: Hashable) -> datetime | None:
        """When a piece that has failed is tried again."""
        failed = self._failed.get(key)
        return failed.again_at if failed is not None else None

    def forget(self, key: Hashable, item: object) -> None:
        """There is nothing wrong with a piece of work any more."""
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
    """Keep a failure where operators look (the admin, `cortensor:faults` at /metrics)."""
    values = {"error": type(error).__name__[:64], "place": _place(error), "last_at": now}
    rows = Fault.objects.filter(process=process, item=item[:200])
    with transaction.atomic():
        if not rows.update(count=F("count") + 1, **values):
            Fault.objects.bulk_create(
                [Fault(process=process, item=item[:200], first_at=now, **values)],
                ignore_conflicts=True,
            )
            # A row more is the occasion to let old ones go, so that they cannot pile up.
            Fault.objects.filter(last_at__lt=now - FORGOTTEN_AFTER).delete()


def is_away(error: Exception) -> bool:
    """Whether an error says that a server is away, or has no room: no piece of work is to blame.

    A deadlock or a value out of range is of its own piece of work, though the same class reports
    it: the connection still answers then.
    """
    if isinstance(error, _AWAY):
        return True
    return isinstance(error, OperationalError | InterfaceError) and not connection.is_usable()


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename]
    frame = (own or frames)[-1]
    return f"{Path(frame.filename).stem}.{frame.name}, line {frame.lineno}"[:200]
