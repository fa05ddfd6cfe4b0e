"""Token buckets in Redis: so much a minute, taken by one script, so that no two can both be last.

A bucket refills within a minute and is forgotten after one: whatever crashes, nobody is locked out
for longer. Where Redis does not answer nobody is limited here: limits guard the router, and the
limits that guard money are in the database.
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
    """Whose bucket, and how much a minute it gives; it is full when it is new."""

    name: str
    per_minute: int


@dataclass(frozen=True)
class RateAllowance:
    """What a taking left, in the bucket that is the nearest to empty.

    `wait_ms` is 0 when everything was taken, and otherwise when to try again: then nothing was.
    """

    limit: int
    remaining: int
    wait_ms: int

    @property
    def full_in_s(self) -> float:
        """Seconds until the bucket is full again."""
        return (self.limit - self.remaining) * 60 / self.limit


def take(cost: int, buckets: Sequence[Bucket]) -> RateAllowance | None:
    """Take `cost` from all the buckets or from none. None: there is no limit (that works)."""
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
        logger.warning("Redis does not answer: nobody's rate is limited", exc_info=True)
        return None
    remaining, limit = min(zip(levels, capacities, strict=True), key=lambda pair: pair[0] / pair[1])
    return RateAllowance(limit=limit, remaining=remaining, wait_ms=wait_ms)


def wait_s(allowance: RateAllowance) -> int:
    """Whole seconds to wait, at least one."""
    return max(math.ceil(allowance.wait_ms / 1000), 1)


@cache
def _script(url: str) -> Any:
    return client(url).register_script(_SCRIPT)


@cache
def client(url: str) -> "redis.Redis":
    """The connection pool of what this package keeps in Redis."""
    return redis.Redis.from_url(
        url,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
    )
