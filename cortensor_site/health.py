"""Which of the router's processes are alive, told by keys in Redis that expire."""

from collections.abc import Callable

import redis
from django.conf import settings

TTL_S = 15
_PREFIX = "health:"


def beater(name: str) -> Callable[[], None]:
    """A function that a process calls at least every few seconds to be seen alive."""
    client = redis.Redis.from_url(settings.REDIS_URL)

    def beat() -> None:
        client.set(_PREFIX + name, "1", ex=TTL_S)

    return beat


def alive(names: list[str]) -> dict[str, bool]:
    """Whether each named process has been heard of within `TTL_S` seconds."""
    client = redis.Redis.from_url(settings.REDIS_URL, decode_responses=True)
    values = client.mget([_PREFIX + name for name in names])
    return {name: value is not None for name, value in zip(names, values, strict=True)}
