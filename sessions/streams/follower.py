"""One follower of streams: a position in each, and a way to wait that thousands can afford."""

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sessions.streams.buffer import START, StreamBuffer, StreamEntry

if TYPE_CHECKING:
    from sessions.streams.reader import StreamReader

LONG_WAIT_S = 5.0


class StreamFollower:
    """Reads several streams, each from a position of its own."""

    def __init__(self, reader: "StreamReader") -> None:
        self._loop = asyncio.get_running_loop()
        self._is_woken = False
        self._waiting: asyncio.Future[None] | None = None
        self.cursors: dict[str, _Cursor] = {}
        self._reader = reader

    def wake(self) -> None:
        """Have `read` look again."""
        self._is_woken = True
        if self._waiting is not None:
            _resolve(self._waiting)

    def add(self, key: str, after: str = START) -> None:
        """Follow one more stream, from behind this position."""
        stream = self._reader.open(key, after, self)
        self.cursors[key] = _Cursor(key, stream, after)

    def remove(self, key: str) -> None:
        """Follow a stream no longer."""
        if self.cursors.pop(key, None) is not None:
            self._reader.leave(key, self)

    async def read(self, timeout_s: float) -> dict[str, list[StreamEntry]]:
        """What is new, by stream, as soon as there is something; empty after the timeout.

        Raises:
            RelayError: Redis is away, or this process is about to stop.
        """
        until = self._loop.time() + timeout_s
        while True:
            self._is_woken = False
            found = {
                key: entries
                for key, cursor in list(self.cursors.items())
                if (entries := await cursor.take(self._reader))
            }
            if found:
                return found
            if self._reader.failure is not None:
                raise self._reader.failure
            if not await self._woken(until):
                return {}

    async def _woken(self, until: float) -> bool:
        """Wait; False when the time is over. Thousands do: it takes no task and no exception."""
        if self._is_woken:
            return True
        if self._loop.time() >= until:
            return False
        self._waiting = self._loop.create_future()
        timer: asyncio.TimerHandle | None = None
        if until != math.inf:
            # Those that wait for long are woken together, once a second.
            at = math.ceil(until) if until - self._loop.time() > LONG_WAIT_S else until
            timer = self._loop.call_at(at, _resolve, self._waiting)
        try:
            await self._waiting
        finally:
            self._waiting = None
            if timer is not None:
                timer.cancel()
        return self._is_woken


def _resolve(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)


@dataclass
class _Cursor:
    """Where a follower is in one stream."""

    key: str
    stream: StreamBuffer
    position: str
    count: int = -1
    """How many entries the stream had had when this follower had read them all; -1: not so yet."""

    async def take(self, reader: "StreamReader") -> list[StreamEntry]:
        stream = self.stream
        missing = stream.appended - self.count
        found: list[StreamEntry] | None
        if self.count >= 0 and missing <= len(stream.entries):
            found = stream.entries[-missing:] if missing else []
        else:
            found = stream.after(self.position)
        if found is None:
            self.count = -1
            found = await reader.history(self.key, self.position)
        else:
            # Who is ahead of the reading has yet to be caught up with.
            self.count = stream.appended if found or self.position == stream.last else -1
            stream.taken = stream.appended
            if stream.held:
                stream.held = False
                reader.read_soon(self.key)
        if found:
            self.position = found[-1].id
        return found
