"""One reader of Redis Streams for all followers in a process.

A follower has only a position in each of its streams. The reader keeps the last entries of every
followed stream once for all of its followers. A follower that is new or slow reads older entries
from Redis at its own pace. So memory depends on the number of streams, not of followers.

The reader neither polls nor blocks on thousands of keys. Redis remembers which streams it has read
(`CLIENT TRACKING`) and notifies it once when one of them changes. Then it reads the stream again.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
from django.conf import settings

from sessions.errors import RelayError, RouterRestarting
from sessions.streams.buffer import (
    MAX_ENTRY_CHARACTERS,
    START,
    StreamBuffer,
    StreamEntry,
    characters_in,
)
from sessions.streams.connection import clear_errors, close, connection, tracking, unavailable
from sessions.streams.follower import StreamFollower

ENTRIES_A_READ = 256
KEYS_A_READ = 500
SWEEP_S = 15.0
"""How often every stream is read without a notice, because a lost connection can lose a notice."""
RECONNECT_WITHIN_S = 3.0
RECONNECT_EVERY_S = 0.05
LINGER_S = 5.0
"""How many seconds the connections stay open after the last follower has left."""

logger = logging.getLogger(__name__)


class StreamReader:
    """The shared reader of one event loop. `current_reader` returns it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.failure: RelayError | None = None
        """Why this reader has stopped. The next follower gets a new reader."""
        self._loop = asyncio.get_running_loop()
        self._streams: dict[str, StreamBuffer] = {}
        self._unread: set[str] = set()
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._run_id = ""
        # Separate connections for reading old entries, so that slow reads delay no one else.
        self._history: redis.asyncio.Redis = connection(url)

    @property
    def followed(self) -> int:
        """The number of streams that have followers."""
        return len(self._streams)

    @asynccontextmanager
    async def follower(self) -> AsyncIterator[StreamFollower]:
        """Create a follower, which follows no stream yet."""
        follower = StreamFollower(self)
        try:
            yield follower
        finally:
            for key in list(follower.cursors):
                follower.remove(key)

    def fail(self, error: RelayError) -> None:
        """End all followers with this error. Any thread may call it."""
        with contextlib.suppress(RuntimeError):  # a closed loop has no followers
            self._loop.call_soon_threadsafe(self._fail, error)

    async def last_id(self, key: str) -> str:
        """Return the id of a stream's last entry. Raises RelayUnavailable."""
        with clear_errors():
            newest: Any = await self._history.xrevrange(key, count=1)
        return newest[0][0] if newest else START

    async def first_id(self, key: str) -> str:
        """Return the id of a stream's oldest kept entry. Raises RelayUnavailable."""
        with clear_errors():
            oldest: Any = await self._history.xrange(key, count=1)
        return oldest[0][0] if oldest else START

    async def history(self, key: str, after: str) -> list[StreamEntry]:
        """Read entries after a position from Redis. Raises RelayUnavailable."""
        with clear_errors():
            found: Any = await self._history.xrange(key, min=f"({after}", count=ENTRIES_A_READ)
        return [StreamEntry(*entry) for entry in found]

    def open(self, key: str, after: str, follower: StreamFollower) -> "StreamBuffer":
        """Return the buffer of a stream, and register the follower with it."""
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = StreamBuffer(before=after)
            self.read_soon(key)
        stream.followers.add(follower)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return stream

    def leave(self, key: str, follower: StreamFollower) -> None:
        """Remove a follower, and the stream's buffer with its last one."""
        stream = self._streams.get(key)
        if stream is not None:
            stream.followers.discard(follower)
            if not stream.followers:
                del self._streams[key]
                if not self._streams:
                    self._work.set()

    def read_soon(self, key: str) -> None:
        """Have a stream read soon, because it may have new entries."""
        self._unread.add(key)
        self._work.set()

    async def _run(self) -> None:
        give_up_at: float | None = None
        while self.failure is None:
            try:
                async with self._connected() as (commands, notices):
                    give_up_at = None
                    listening = asyncio.create_task(self._listen(notices))
                    listening.add_done_callback(lambda _: self._work.set())
                    try:
                        await self._read(commands, listening)
                    finally:
                        listening.cancel()
                        await asyncio.gather(listening, return_exceptions=True)
            except (redis.RedisError, OSError) as error:
                give_up_at = give_up_at or time.monotonic() + RECONNECT_WITHIN_S
                if time.monotonic() > give_up_at:
                    logger.warning("Redis does not answer: %s", error)
                    self._fail(unavailable())
                await asyncio.sleep(RECONNECT_EVERY_S)
            except Exception:
                # Fail on any error, so that followers do not wait for ever.
                logger.exception("the reading of live streams has failed")
                self._fail(unavailable())
            if not self._streams:
                break
        # Clear `_task` before the next await. A follower that opens a stream from here on starts
        # another run, with connections that are not about to be closed.
        self._task = None
        history, self._history = self._history, connection(self.url)
        await asyncio.shield(close(history))

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple["redis.asyncio.Redis", Any]]:
        async with tracking(self.url) as (commands, notices, run_id):
            if self._run_id not in ("", run_id):
                # The server process is another one, and the entries in between are lost.
                self._fail(unavailable())
            self._run_id = run_id
            yield commands, notices

    async def _listen(self, notices: Any) -> None:
        while True:
            _, _, data, *_ = await notices.parse_response(block=True)
            if isinstance(data, list):
                for key in data:
                    self.read_soon(key.decode())
            elif data is None:  # Redis has dropped its table of tracked keys
                self._sweep()

    async def _read(self, commands: "redis.asyncio.Redis", listening: "asyncio.Task[None]") -> None:
        """Read changed streams until there have been no followers for `LINGER_S` seconds."""
        self._sweep()
        while self.failure is None:
            wait_s = SWEEP_S if self._streams else LINGER_S
            try:
                async with asyncio.timeout(wait_s):
                    await self._work.wait()
            except TimeoutError:
                if not self._streams:
                    return
                self._sweep()
            if listening.done():
                listening.result()
            self._work.clear()
            unread, self._unread = self._unread, set()
            keys = [key for key in unread if self._wants(key)]
            for at in range(0, len(keys), KEYS_A_READ):
                await self._read_keys(commands, keys[at : at + KEYS_A_READ])

    async def _read_keys(self, commands: "redis.asyncio.Redis", keys: Sequence[str]) -> None:
        positions: dict[Any, Any] = {
            key: self._streams[key].last for key in keys if key in self._streams
        }
        if not positions:
            return
        try:
            answer: Any = await commands.xread(positions, count=ENTRIES_A_READ)
        except redis.ResponseError:
            if len(keys) > 1:
                for key in keys:
                    await self._read_keys(commands, [key])
            elif keys[0] in self._streams:
                # A miner may store anything under its keys. It must not affect other streams.
                self._streams[keys[0]].is_readable = False
            return
        for key, found in answer:
            stream = self._streams.get(key)
            # While Redis answered, the stream may have been left and opened anew.
            if stream is not None and stream.last == positions[key]:
                sizes = [characters_in(fields) for _, fields in found]
                if max(sizes, default=0) > MAX_ENTRY_CHARACTERS:
                    logger.warning("%s has an entry that is too large; it is not followed", key)
                    stream.is_readable = False
                    continue
                stream.append([StreamEntry(*entry) for entry in found], sizes)
            if stream is not None and len(found) == ENTRIES_A_READ:
                self.read_soon(key)

    def _wants(self, key: str) -> bool:
        """Return whether to read a stream. A full buffer is paused until a follower takes it."""
        stream = self._streams.get(key)
        if stream is None or not stream.is_readable:
            return False
        stream.held = stream.is_full
        return not stream.held

    def _sweep(self) -> None:
        self._unread.update(self._streams)
        self._work.set()

    def _fail(self, error: RelayError) -> None:
        if self.failure is not None:
            return
        self.failure = error
        self._work.set()
        for stream in self._streams.values():
            stream.wake()


_readers: "WeakKeyDictionary[asyncio.AbstractEventLoop, StreamReader]" = WeakKeyDictionary()
_stopping: RelayError | None = None


def current_reader() -> StreamReader:
    """Return the running event loop's reader.

    Raises:
        RelayError: this process is about to stop.
    """
    if _stopping is not None:
        raise _stopping
    loop = asyncio.get_running_loop()
    reader = _readers.get(loop)
    if reader is None or reader.failure is not None or reader.url != settings.REDIS_URL:
        reader = _readers[loop] = StreamReader(settings.REDIS_URL)
    return reader


def is_stopping() -> bool:
    """Return whether this process is disconnecting its followers."""
    return _stopping is not None


def stop_following() -> None:
    """Disconnect all followers of this process for good, so that they use another process."""
    global _stopping
    _stopping = RouterRestarting(
        "this router process stops; the task goes on", remedy="reconnect, with the last event's id"
    )
    for reader in list(_readers.values()):
        reader.fail(_stopping)
