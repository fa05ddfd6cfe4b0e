"""Signs of life of the router's processes: that they run, and how far they have come.

Each mark is a time in Redis. Redis may lose it, since the process writes it again within seconds.
"""

import logging
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

ALIVE_S = 15.0
"""A process whose mark is older than this counts as away."""
TELL_EVERY_S = 1.0
"""The shortest interval between two writes of one mark."""
CHAIN, REPORTS = "chain", "reports"
"""Names of marks: the time when the mirror was at the chain's head, and the time when every mailbox
was read to its end."""
_PREFIX = "health:"
_KEPT_S = 24 * 3600
_TIMEOUT_S = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Marks:
    """The marks that were read. `at` has their times, `redis_since` the start of Redis.

    All times are in Unix seconds.
    """

    at: Mapping[str, float]
    redis_since: float

    def age_s(self, name: str, now: float) -> float:
        """Return the age of a mark in seconds, or infinity if it was never written."""
        return max(0.0, now - self.at[name]) if name in self.at else float("inf")


def tell(name: str, at: float | None = None) -> None:
    """Write a mark. Processes call this every few seconds.

    An unavailable Redis does not raise an error: the mark is then not written.

    Args:
        at: the time of the mark in Unix seconds, now by default.
    """
    _told.tell(settings.REDIS_URL, name, time.time() if at is None else at)


def read_marks(names: Collection[str]) -> Marks:
    """Read the latest marks.

    Raises:
        RedisError: Redis does not answer, or has no memory left for writes.
    """
    pipeline = _client(settings.REDIS_URL).pipeline(transaction=False)
    # A Redis without free memory still answers reads, so this write detects it.
    pipeline.set(_PREFIX + "room", "1", ex=_KEPT_S)
    pipeline.mget([_PREFIX + name for name in names])
    pipeline.info("server")
    _, values, server = pipeline.execute()
    at = {name: float(value) for name, value in zip(names, values, strict=True) if value}
    return Marks(at, time.time() - server["uptime_in_seconds"])


class _Told:
    """The marks that this process has written lately, so that it writes none too often."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told_at: dict[tuple[str, str], float] = {}
        self._is_away = False

    def tell(self, url: str, name: str, at: float) -> None:
        now = time.monotonic()
        with self._lock:
            if now - self._told_at.get((url, name), float("-inf")) < TELL_EVERY_S:
                return
            self._told_at[url, name] = now
        try:
            _client(url).set(_PREFIX + name, repr(at), ex=_KEPT_S)
        except (redis.RedisError, OSError) as error:
            if not self._is_away:
                logger.warning("Redis does not answer (%s): mark %s not written", error, name)
            self._is_away = True
        else:
            self._is_away = False


_told = _Told()


@cache
def _client(url: str) -> "redis.Redis":
    # Short timeouts and no retries: a hanging Redis must not hold up the process's real work.
    return redis.Redis.from_url(
        url,
        protocol=2,
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
