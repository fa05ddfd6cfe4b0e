"""The shared reader's connections to Redis."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sessions.errors import RelayUnavailable

COMMAND_TIMEOUT_S = 5.0
_INVALIDATIONS = "__redis__:invalidate"


@asynccontextmanager
async def tracking(url: str) -> AsyncIterator[tuple["redis.asyncio.Redis", Any, str]]:
    """Open a connection for reading, one for notices of changes to what it read, and the run id.

    The run id identifies the Redis server process.
    """
    commands = connection(url, single_connection_client=True)
    listener = connection(url, socket_timeout=None, decode_responses=False)
    notices = listener.pubsub()
    try:
        run_id = (await commands.info("server"))["run_id"]
        client_id = await _client_id(notices)
        await notices.subscribe(_INVALIDATIONS)
        await _track(commands, client_id)
        yield commands, notices, run_id
    finally:
        # Close the connections even if this asyncio task is cancelled.
        await asyncio.shield(close(notices, listener, commands))


def connection(url: str, **options: Any) -> "redis.asyncio.Redis":
    """Return a client that decodes text, times out after `COMMAND_TIMEOUT_S` and never retries."""
    defaults: dict[str, Any] = {"decode_responses": True, "encoding_errors": "replace"}
    defaults |= {"protocol": 2, "retry": Retry(NoBackoff(), 0), "socket_timeout": COMMAND_TIMEOUT_S}
    options = defaults | options
    return redis.asyncio.Redis.from_url(url, **options)


async def close(*connections: Any) -> None:
    """Close connections in any state."""
    for one in connections:
        with contextlib.suppress(redis.RedisError, OSError):
            await one.aclose()


@contextlib.contextmanager
def clear_errors() -> Iterator[None]:
    """Convert errors of the Redis client to RelayUnavailable."""
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise unavailable() from error


def unavailable() -> RelayUnavailable:
    """Return the error for when Redis is down."""
    return RelayUnavailable(
        "the router's live streams are not reachable", remedy="look at the task later; it goes on"
    )


async def _client_id(notices: Any) -> int:
    # Ask before subscribing: a subscribed connection does not accept this command.
    await notices.connect()
    await notices.connection.send_command("CLIENT", "ID")
    return int(await notices.connection.read_response())


async def _track(commands: Any, client_id: int) -> None:
    """Have Redis notify that connection when a key changes that this one has read."""
    await commands.execute_command("CLIENT", "TRACKING", "ON", "REDIRECT", client_id)
