"""The base of the router's WebSocket consumers: authentication, slow clients and closing.

A client sends its API key in the Authorization header. A browser, which cannot set this header,
sends it in the first message: `{"type": "auth", "api_key": …}`. The query parameter
`last_event_id` resumes a stream. Every message has `session_id` and `task_id`, and an `id` if the
stream can be resumed after it.

| close code | reason |
|---|---|
| 1000 | the stream is complete |
| 1012 | this process stops; the last message, `reconnect`, says where to resume |
| 4008 | the client reads too slowly, or the feed no longer has the events that come next |
| 4400, 4401, 4404 | the request is invalid, the API key is invalid, or nothing has this address |
| 4429 | too many requests, open sockets or streams; the last message says when to try again |
| 4500 | no answer will come; the last message, `error`, says why |
"""

import asyncio
import json
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

from asgiref.sync import sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from rest_framework.exceptions import AuthenticationFailed

from sessions.access.errors import LimitReached
from sessions.access.meter import metered
from sessions.access.streams import take_socket
from sessions.errors import InvalidField, RouterRestarting, SessionNotFound, TaskNotFound
from sessions.faces.common.problems import to_problem
from sessions.streams.feeds import FeedBehind

AUTH_WITHIN_S = 5.0
SLOWEST_READ_S = float(os.environ.get("WEBSOCKET_UNREAD_S", "30"))
LAST_WORDS_S = 2.0
CLOSE_NORMAL, CLOSE_RESTART, CLOSE_TOO_SLOW, CLOSE_FAILED = 1000, 1012, 4008, 4500
CLOSE_INVALID, CLOSE_UNAUTHORISED, CLOSE_NOT_FOUND = 4400, 4401, 4404
CLOSE_TOO_MANY = 4429

Message = dict[str, Any]


class TooSlow(Exception):
    """The client has not read a message within `SLOWEST_READ_S` seconds."""


class FollowingConsumer(AsyncWebsocketConsumer):
    """Sends the messages of `messages` one by one, so at most one waits for a slow client."""

    ids: Message = {"session_id": None, "task_id": None}
    """The ids that every message has. Each connection has a consumer of its own."""
    last_id = ""
    _first_message: "asyncio.Future[str]"
    _work: "asyncio.Task[None]"

    def messages(self) -> AsyncGenerator[Message]:
        """Yield the messages for the client, after checking that the client may see them."""
        raise NotImplementedError

    async def connect(self) -> None:
        await self.accept()
        self._first_message = asyncio.get_running_loop().create_future()
        # Send from a separate asyncio task, so that this consumer still notices a disconnect.
        self._work = asyncio.create_task(self._serve())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take the first message, which may hold the API key. Ignore the others."""
        if not self._first_message.done():
            self._first_message.set_result(text_data or "")

    async def disconnect(self, code: int) -> None:
        self._work.cancel()
        await asyncio.gather(self._work, return_exceptions=True)

    def number(self, name: str) -> int:
        """Return a number from the URL."""
        return int(self.scope["url_route"]["kwargs"][name])

    def resumes_after(self) -> str:
        """Return the query parameter `last_event_id`."""
        query = parse_qs(self.scope["query_string"].decode("latin-1"))
        return str(query.get("last_event_id", [""])[-1])

    async def authorization(self) -> str:
        """Return the client's Authorization header, or the equivalent from its first message.

        Raises:
            AuthenticationFailed: no API key came within `AUTH_WITHIN_S` seconds.
        """
        header = dict(self.scope["headers"]).get(b"authorization")
        if header is not None:
            return str(header.decode("latin-1"))
        try:
            async with asyncio.timeout(AUTH_WITHIN_S):
                text = await self._first_message
        except TimeoutError as error:
            raise AuthenticationFailed(f"no API key came within {AUTH_WITHIN_S:g} s") from error
        return f"Bearer {_api_key_in(text)}"

    async def _serve(self) -> None:
        remote = str((self.scope.get("client") or ["unknown"])[0])
        try:
            async with _admitted(remote), aclosing(self.messages()) as messages:
                async for message in messages:
                    await self._tell(message)
                    self.last_id = message.get("id", self.last_id)
            await self.close(CLOSE_NORMAL)
        except Exception as error:
            await self._end(error)

    async def _tell(self, message: Message, within_s: float | None = None) -> None:
        text = json.dumps(self.ids | message, ensure_ascii=False)
        try:
            async with asyncio.timeout(SLOWEST_READ_S if within_s is None else within_s):
                await self.send(text)
        except TimeoutError as error:
            raise TooSlow from error

    async def _end(self, error: Exception) -> None:
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                match error:
                    case TooSlow():
                        reason = f"too slow; reconnect with last_event_id={self.last_id}"
                        await self.close(CLOSE_TOO_SLOW, reason)
                        return
                    case RouterRestarting():
                        await self._tell({"type": "reconnect"} | self._resume(), LAST_WORDS_S)
                    case _:
                        message: Message = {"type": "error", "error": to_problem(error)}
                        if isinstance(error, LimitReached):
                            message["retry_after_s"] = error.retry_after_s
                        await self._tell(message | self._resume(), LAST_WORDS_S)
                await self.close(_close_code(error))
        except (TimeoutError, TooSlow):
            # The client does not read this message either: abort the connection.
            await asyncio.shield(_abandon(self))

    def _resume(self) -> Message:
        base = settings.PUBLIC_URL.replace("http", "ws", 1)
        return {"url": base + self.scope["path"], "last_event_id": self.last_id}


@asynccontextmanager
async def _admitted(remote: str) -> AsyncGenerator[None]:
    """Count this socket against the limit of its address, and release its stream at the end.

    Raises:
        LimitReached: too many sockets are open from that address.
    """
    place = await sync_to_async(take_socket, thread_sensitive=False)(remote)
    try:
        with metered(remote) as meter:
            try:
                yield
            finally:
                if meter.slot is not None:
                    await sync_to_async(meter.slot.release, thread_sensitive=False)()
    finally:
        await sync_to_async(place.release, thread_sensitive=False)()


async def _abandon(consumer: FollowingConsumer) -> None:
    abort = consumer.scope.get("extensions", {}).get("cortensor.abort")
    if abort is not None:
        abort()


def _api_key_in(text: str) -> str:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        message = None
    key = message.get("api_key") if isinstance(message, dict) else None
    if not isinstance(key, str) or message.get("type") != "auth":
        raise AuthenticationFailed('the first message must be {"type": "auth", "api_key": "…"}')
    return key


def _close_code(error: Exception) -> int:
    match error:
        case AuthenticationFailed():
            return CLOSE_UNAUTHORISED
        case SessionNotFound() | TaskNotFound():
            return CLOSE_NOT_FOUND
        case InvalidField():
            return CLOSE_INVALID
        case LimitReached():
            return CLOSE_TOO_MANY
        case FeedBehind():
            return CLOSE_TOO_SLOW
        case RouterRestarting():
            return CLOSE_RESTART
        case _:
            return CLOSE_FAILED
