"""Token buckets in Redis: limits per minute. One script takes from them, so this is atomic.

A bucket refills within a minute and expires after one, so no crash locks a caller out for longer.
If Redis is down, no limit of this module applies. These limits protect the router; the limits that
protect money are in the database.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUT_S = 0.5
_SCRIPT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local cost = tonumber(ARGV[1])
local wait, levels = 0, {}
for i, key in ipairs(KEYS) do
  local capacity = tonumber(ARGV[i + 1])
  local kept = redis.call('HMGET', key, 'level', 'at')
  local level, at = tonumber(kept[1] or capacity), tonumber(kept[2] or now)
  level = math.min(capacity, level + math.max(now - at, 0) * capacity / 60000)
  levels[i] = level
  if level < cost then
    wait = math.max(wait, math.ceil((cost - level) * 60000 / capacity))
  end
end
local answer = {wait}
for i, key in ipairs(KEYS) do
  if wait == 0 then
    levels[i] = levels[i] - cost
    redis.call('HSET', key, 'level', levels[i], 'at', now)
    redis.call('PEXPIRE', key, 60000)
  end
  answer[i + 1] = math.floor(levels[i])
end
return answer
"""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bucket:
    """A bucket's name and its rate per minute. A new bucket is full."""

    name: str
    per_minute: int


@dataclass(frozen=True)
class RateAllowance:
    """The state of the emptiest bucket after an attempt to take from several.

    `wait_ms` is 0 if everything was taken. Otherwise nothing was taken, and it says how long to
    wait before trying again.
    """

    limit: int
    remaining: int
    wait_ms: int

    @property
    def full_in_s(self) -> float:
        """Seconds until the bucket is full again."""
        return (self.limit - self.remaining) * 60 / self.limit


def take(cost: int, buckets: Sequence[Bucket]) -> RateAllowance | None:
    """Take `cost` from all the buckets or from none. Return None if no limit applies."""
    limited = [bucket for bucket in buckets if bucket.per_minute > 0]
    if not limited:
        return None
    keys = [f"limit:{bucket.name}" for bucket in limited]
    capacities = [bucket.per_minute for bucket in limited]
    try:
        wait_ms, *levels = cast(
            list[int], _script(settings.REDIS_URL)(keys=keys, args=[cost, *capacities])
        )
    except redis.RedisError:
        logger.warning("Redis does not answer: rates are not limited", exc_info=True)
        return None
    remaining, limit = min(zip(levels, capacities, strict=True), key=lambda pair: pair[0] / pair[1])
    return RateAllowance(limit=limit, remaining=remaining, wait_ms=wait_ms)


def wait_s(allowance: RateAllowance) -> int:
    """Return how many whole seconds to wait, at least one."""
    return max(math.ceil(allowance.wait_ms / 1000), 1)


@cache
def _script(url: str) -> Any:
    return client(url).register_script(_SCRIPT)


@cache
def client(url: str) -> "redis.Redis":
    """Return the connection pool that this package uses."""
    return redis.Redis.from_url(
        url,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
    )
