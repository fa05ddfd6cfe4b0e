"""Limits of open streams per key, account and IP address.

Each process counts its open streams in Redis under its own name, and renews that name. The streams
of a dead process stop counting after `PROCESS_TTL_S` seconds. An idle stream costs no writes.
"""

import logging
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import redis
from django.conf import settings

from sessions.access.buckets import client
from sessions.access.callers import Caller
from sessions.access.errors import LimitReached

PROCESS_TTL_S = 30
RENEWED_EVERY_S = 10.0
TRY_AGAIN_S = 5
LONGEST_STREAM_S = 24 * 3600
_PROCESS = uuid.uuid4().hex
PROCESSES = "streams:processes"
"""A sorted set: until when each process counts as alive, in seconds on Redis' clock."""
_LIVE = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
"""
_TAKE = (
    _LIVE
    + """
for i = 2, #KEYS do
  local key, limit, open = KEYS[i], tonumber(ARGV[i + 2]), 0
  local held = redis.call('HGETALL', key)
  for j = 1, #held, 2 do
    if redis.call('ZSCORE', KEYS[1], held[j]) then
      open = open + tonumber(held[j + 1])
    else
      redis.call('HDEL', key, held[j])
    end
  end
  if limit > 0 and open >= limit then return i - 1 end
end
for i = 2, #KEYS do
  redis.call('HINCRBY', KEYS[i], ARGV[1], 1)
  if string.find(KEYS[i], 'streams:task:', 1, true) then
    redis.call('EXPIRE', KEYS[i], ARGV[3])
  end
end
return 0
"""
)
_RELEASE = """
for _, key in ipairs(KEYS) do
  if redis.call('HINCRBY', key, ARGV[1], -1) <= 0 then redis.call('HDEL', key, ARGV[1]) end
end
"""

TaskNumbers = tuple[int, int]
"""The numbers of a session and of a task in it."""

logger = logging.getLogger(__name__)


@dataclass
class StreamSlot:
    """A slot of an open stream. It must be released; releasing it again does nothing."""

    names: list[str]
    held: bool = True

    def release(self) -> None:
        """Release the slot. If Redis is down, the slot expires with this process."""
        if not self.held:
            return
        self.held = False
        with suppress(redis.RedisError):
            _scripts(settings.REDIS_URL)[1](keys=self.names, args=[_PROCESS])


def take_slot(caller: Caller, task: TaskNumbers | None = None) -> StreamSlot:
    """Take a slot for a stream of this caller. Release it when the stream ends.

    Args:
        task: the task that the stream follows, for `is_followed`.

    Raises:
        LimitReached: the key or the account has as many open streams as it may.
    """
    wanted = {f"streams:account:{caller.address}": int(settings.LIMITS["account_open_streams"])}
    if caller.key is not None:
        own = caller.key.max_open_streams
        limit = int(settings.LIMITS["key_open_streams"]) if own is None else own
        wanted[f"streams:key:{caller.key.pk}"] = limit
    if task is not None:
        wanted[_followers_key(task)] = 0
    return _take(wanted)


def take_socket(remote: str) -> StreamSlot:
    """Take a slot for a WebSocket from this IP address. Release it when the socket closes.

    Raises:
        LimitReached: the address has as many open sockets as it may.
    """
    return _take({f"streams:address:{remote}": int(settings.LIMITS["address_open_sockets"])})


def _take(wanted: dict[str, int]) -> StreamSlot:
    """Take slots under all these names, or none. The numbers are limits; 0 means no limit."""
    slot = StreamSlot(list(wanted))
    try:
        full = _scripts(settings.REDIS_URL)[0](
            keys=[PROCESSES, *slot.names],
            args=[_PROCESS, PROCESS_TTL_S, LONGEST_STREAM_S, *wanted.values()],
        )
    except redis.RedisError:
        logger.warning("Redis does not answer: streams are not limited", exc_info=True)
        return StreamSlot([], held=False)
    if full:
        name = slot.names[full - 1]
        whose = name.split(":")[1]
        raise LimitReached(
            f"this {whose} reads {wanted[name]} streams already, and may read no more at once",
            wait_s=TRY_AGAIN_S,
            remedy="close one, or ask without streaming",
        )
    _stay_alive(settings.REDIS_URL)
    return slot


def is_followed(task: TaskNumbers) -> bool:
    """Return whether any router process has a follower of this task. Raises RedisError."""
    connection = client(settings.REDIS_URL)
    held: Any = connection.hgetall(_followers_key(task))
    if not held:
        return False
    now_s, _ = connection.time()
    alive: Any = connection.zmscore(PROCESSES, list(held))
    return any(until is not None and until > now_s for until in alive)


def _followers_key(task: TaskNumbers) -> str:
    return f"streams:task:{task[0]}:{task[1]}"


@cache
def _scripts(url: str) -> tuple[Any, Any, Any]:
    connection = client(url)
    take, release, live = map(connection.register_script, (_TAKE, _RELEASE, _LIVE))
    return take, release, live


@cache
def _stay_alive(url: str) -> None:
    def renew() -> None:
        pause = threading.Event()
        while not pause.wait(RENEWED_EVERY_S):
            with suppress(redis.RedisError):
                _scripts(url)[2](keys=[PROCESSES], args=[_PROCESS, PROCESS_TTL_S])

    threading.Thread(target=renew, name="stream-slots", daemon=True).start()
