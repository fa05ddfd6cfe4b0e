"""What the router's parts tell of themselves: that they are alive, and how far they have come.

Each mark is a time, kept in Redis, which may lose it: the part tells it again within seconds.
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
"""Who was not heard of for longer counts as away."""
TELL_EVERY_S = 1.0
"""A mark is not written more often."""
CHAIN, REPORTS = "chain", "reports"
"""The mirror was at the chain's head; every mailbox was read to its end."""
_PREFIX = "health:"
_KEPT_S = 24 * 3600
_TIMEOUT_S = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Marks:
    """What was told, in Unix seconds, and since when the Redis that it is kept in has run."""

    at: Mapping[str, float]
    redis_since: float

    def age_s(self, name: str, now: float) -> float:
        """How long ago something was told; infinite if it never was."""
        return max(0.0, now - self.at[name]) if name in self.at else float("inf")


def tell(name: str, at: float | None = None) -> None:
    """Tell that a part is alive, or that it had come so far at a time; call it every few seconds.

    Redis that is away is no reason to stop: then nobody hears of it.
    """
    _told.tell(settings.REDIS_URL, name, time.time() if at is None else at)


def read_marks(names: Collection[str]) -> Marks:
    """What the parts have told last. Raises RedisError, also where Redis has no room for more."""
    pipeline = _client(settings.REDIS_URL).pipeline(transaction=False)
    # A Redis that is full still answers: only who writes hears of it.
    pipeline.set(_PREFIX + "room", "1", ex=_KEPT_S)
    pipeline.mget([_PREFIX + name for name in names])
    pipeline.info("server")
    _, values, server = pipeline.execute()
    at = {name: float(value) for name, value in zip(names, values, strict=True) if value}
    return Marks(at, time.time() - server["uptime_in_seconds"])


class _Told:
    """What this process has told of late, so that it tells nothing too often."""

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
                logger.warning("Redis does not answer (%s): nobody hears of %s", error, name)
            self._is_away = True
        else:
            self._is_away = False


_told = _Told()


@cache
def _client(url: str) -> "redis.Redis":
    # Whoever tells has other work: a Redis that hangs must not keep it from that.
    return redis.Redis.from_url(
        url,
        protocol=2,
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
