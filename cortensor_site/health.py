"""Which of the router's processes are alive, told by keys in Redis that expire."""

from functools import cache

import redis
from django.conf import settings

TTL_S = 15
PROCESSES = (
    "sync",
    "send",
    "dispatch",
    "collect",
    "oracle",
    "network_tasks",
    "validate",
    "webhooks",
)
_PREFIX = "health:"


def beat(name: str) -> None:
    """Tell that a process is alive; it calls this at least every few seconds."""
    _client(settings.REDIS_URL).set(_PREFIX + name, "1", ex=TTL_S)


def components() -> dict[str, bool]:
    """Whether each of the router's processes has been heard of within `TTL_S` seconds."""
    values = _client(settings.REDIS_URL).mget([_PREFIX + name for name in PROCESSES])
    return {name: value is not None for name, value in zip(PROCESSES, values, strict=True)}


@cache
def _client(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url)
