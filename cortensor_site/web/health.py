"""The health of the router's parts. Probes read it from Redis, requests from a cache in memory."""

import threading
import time
from collections.abc import Mapping
from functools import cache

import redis
from django.conf import settings

from chain.postgres.liveness import ALIVE_S, CHAIN, read_marks, tell

PROCESSES = (
    "sync",
    "react",
    "send",
    "dispatch",
    "collect",
    "oracle",
    "network_tasks",
    "validate",
    "webhooks",
)
PARTS = (*PROCESSES, CHAIN)
"""The parts with a mark in Redis. The mark `chain` is the time when the mirror was at the head."""
REDIS = "redis"
READ_EVERY_S = 1.0
KEPT_S = 5.0
"""The greatest age of cached values. Older ones are read again before they are returned."""


def beat(name: str) -> None:
    """Write a process's sign of life. The process calls this at least every few seconds."""
    tell(name)


def components(away: Mapping[str, float] | None = None) -> dict[str, bool]:
    """Return whether each part is alive.

    Args:
        away: the result of `read_away`; read now by default.
    """
    away = read_away() if away is None else away
    is_known = REDIS not in away
    return {REDIS: is_known} | {name: is_known and name not in away for name in PARTS}


def read_away() -> dict[str, float]:
    """Return the result of `away_s`, read from Redis now."""
    return _away(_read())


def away_s() -> Mapping[str, float]:
    """Return the seconds since the last sign of life of each part that is away, from the cache.

    While Redis is away, the state of the other parts is unknown.
    """
    return _board(settings.REDIS_URL).away_s()


def forget() -> None:
    """Clear the cache."""
    _board.cache_clear()


def _away(ages: Mapping[str, float]) -> dict[str, float]:
    return {name: age_s for name, age_s in ages.items() if age_s > ALIVE_S}


def _read() -> dict[str, float]:
    try:
        marks = read_marks(PARTS)
    except (redis.RedisError, OSError):
        return {REDIS: float("inf")}
    now = time.time()
    return {name: marks.age_s(name, now) for name in PARTS}


class _Board:
    """A cache of the ages. Callers wait for Redis only if the last read was long ago."""

    def __init__(self) -> None:
        self._reading = threading.Lock()
        self._read_at = float("-inf")
        self._ages: dict[str, float] = {}

    def away_s(self) -> dict[str, float]:
        old_s = time.monotonic() - self._read_at
        if old_s > KEPT_S:
            self._refresh()
        elif old_s > READ_EVERY_S and not self._reading.locked():
            threading.Thread(target=self._refresh, name="health", daemon=True).start()
        grown_s = time.monotonic() - self._read_at
        return _away({name: age_s + grown_s for name, age_s in self._ages.items()})

    def _refresh(self) -> None:
        with self._reading:
            if time.monotonic() - self._read_at > READ_EVERY_S:
                self._ages = _read()
                self._read_at = time.monotonic()


@cache
def _board(url: str) -> _Board:
    return _Board()
