"""One follower of streams, cheap enough for thousands of them in a process."""

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sessions.streams.buffer import START, StreamBuffer, StreamEntry

if TYPE_CHECKING:
    from sessions.streams.reader import StreamReader

LONG_WAIT_S = 5.0


class StreamFollower:
    """Reads several streams, each from its own position."""

    def __init__(self, reader: "StreamReader") -> None:
        self._loop = asyncio.get_running_loop()
        self._is_woken = False
        self._waiting: asyncio.Future[None] | None = None
        self.cursors: dict[str, _Cursor] = {}
        self._reader = reader

    def wake(self) -> None:
        """Have `read` check for new entries."""
        self._is_woken = True
        if self._waiting is not None:
            _resolve(self._waiting)

    def add(self, key: str, after: str = START) -> None:
        """Follow another stream, from after this position."""
        stream = self._reader.open(key, after, self)
        self.cursors[key] = _Cursor(key, stream, after)

    def remove(self, key: str) -> None:
        """Stop following a stream."""
        if self.cursors.pop(key, None) is not None:
            self._reader.leave(key, self)

    async def read(self, timeout_s: float) -> dict[str, list[StreamEntry]]:
        """Return new entries by stream as soon as there are any, or nothing after the timeout.

        Raises:
            RelayError: Redis is down, or this process is about to stop.
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
        """Wait until woken; return False after `until`.

        Thousands of followers wait here, so this uses neither an asyncio task nor an exception.
        """
        if self._is_woken:
            return True
        if self._loop.time() >= until:
            return False
        self._waiting = self._loop.create_future()
        timer: asyncio.TimerHandle | None = None
        if until != math.inf:
            # Long waits end on whole seconds, so that many followers wake together.
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
    """A follower's position in one stream."""

    key: str
    stream: StreamBuffer
    position: str
    count: int = -1
    """The stream's entry count when this follower had read them all, or -1 before that."""

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
            # A position after the buffer's last entry is ahead of the reader: compare it again.
            self.count = stream.appended if found or self.position == stream.last else -1
            stream.taken = stream.appended
            if stream.held:
                stream.held = False
                reader.read_soon(self.key)
        if found:
            self.position = found[-1].id
        return found
