"""Event feeds: `/ws/network` for everybody, `/ws/sessions/{sessionId}` for the session's owner.

Both report which task or node reached which stage. They carry ids, never prompts or answers.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from channels.db import database_sync_to_async
from django.db import connection

from sessions.access import rates
from sessions.access.callers import Caller
from sessions.access.visibility import find_session
from sessions.faces.common.authentication import bearer
from sessions.faces.sockets.consumer import FollowingConsumer, Message
from sessions.streams.feeds import NETWORK_FEED, follow_feed, read_position, session_feed


class NetworkConsumer(FollowingConsumer):
    """Sends the network's feed."""

    async def messages(self) -> AsyncGenerator[Message]:
        async with aclosing(self._feed(NETWORK_FEED)) as messages:
            async for message in messages:
                yield message

    async def _feed(self, key: str) -> AsyncGenerator[Message]:
        self.last_id = self.resumes_after()
        after = read_position(self.last_id)
        async with aclosing(follow_feed(key, after)) as batches:
            async for events in batches:
                for event in events:
                    yield event.body | {"id": event.id}


class SessionConsumer(NetworkConsumer):
    """Sends the feed of one session."""

    async def messages(self) -> AsyncGenerator[Message]:
        session_id = self.number("session_id")
        self.ids = {"session_id": session_id, "task_id": None}
        authorization = await self.authorization()
        await database_sync_to_async(_require_access)(authorization, session_id)
        async with aclosing(self._feed(session_feed(session_id))) as messages:
            async for message in messages:
                yield message


def _require_access(authorization: str, session_id: int) -> None:
    try:
        key = bearer(authorization)
        find_session(session_id, key)
        rates.admit_stream(Caller.of_key(key))
    finally:
        if not connection.in_atomic_block:
            connection.close()
