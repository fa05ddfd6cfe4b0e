"""`/ws/tasks/{sessionId}/{taskId}`: one task's answer as it is made, for the session's owner.

The key comes in the Authorization header or, from a browser, in the first message:
`{"type": "auth", "api_key": …}`. Then come `source`, `stage`, `token` and, last, `done` or
`error`, each with `session_id` and `task_id`.
"""

import asyncio
import json
from contextlib import aclosing
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.db import connection
from rest_framework.exceptions import AuthenticationFailed

from sessions import streams
from sessions.access.visibility import find_session
from sessions.api.authentication import bearer
from sessions.api.completion_views import wait_s
from sessions.api.errors import to_problem
from sessions.errors import SessionNotFound, TaskNotFound
from sessions.models import Task

AUTH_WITHIN_S = 5.0
SLOWEST_READ_S = 30.0
CLOSE_NORMAL, CLOSE_FAILED, CLOSE_UNAUTHORISED, CLOSE_NOT_FOUND = 1000, 4500, 4401, 4404


class TaskConsumer(AsyncJsonWebsocketConsumer):
    """Follows one task until its answer is complete."""

    _first_message: "asyncio.Future[str]"
    _work: "asyncio.Task[None]"

    async def connect(self) -> None:
        await self.accept()
        self._first_message = asyncio.get_running_loop().create_future()
        # Work of its own, so that this consumer keeps listening for the client's leaving.
        self._work = asyncio.create_task(self._serve())

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **_: Any
    ) -> None:
        """The first message may be the key; others have no meaning."""
        if not self._first_message.done():
            self._first_message.set_result(text_data or "")

    async def disconnect(self, code: int) -> None:
        self._work.cancel()
        await asyncio.gather(self._work, return_exceptions=True)

    async def _serve(self) -> None:
        ids = self.scope["url_route"]["kwargs"]
        session_id, task_id = int(ids["session_id"]), int(ids["task_id"])
        try:
            secret = await self._secret()
            task = await database_sync_to_async(_find)(secret, session_id, task_id)
            answer = streams.follow_answer(session_id, task_id, wait_s(task))
            async with aclosing(answer) as events:
                async for event in events:
                    await self._tell(session_id, task_id, to_message(event))
            await self.close(CLOSE_NORMAL)
        except Exception as error:
            message = {"type": "error", "error": to_problem(error)}
            await self._tell(session_id, task_id, message)
            await self.close(_close_code(error))

    async def _secret(self) -> str:
        header = dict(self.scope["headers"]).get(b"authorization")
        if header is not None:
            return str(header.decode("latin-1"))
        try:
            async with asyncio.timeout(AUTH_WITHIN_S):
                text = await self._first_message
        except TimeoutError as error:
            raise AuthenticationFailed(f"no API key came within {AUTH_WITHIN_S:g} s") from error
        return f"Bearer {_api_key_in(text)}"

    async def _tell(self, session_id: int, task_id: int, message: dict[str, Any]) -> None:
        # A client that does not read is given up, and with it the connection that reads for it.
        async with asyncio.timeout(SLOWEST_READ_S):
            await self.send_json(message | {"session_id": session_id, "task_id": task_id})


def to_message(event: streams.StreamEvent) -> dict[str, Any]:
    """An event of a task's stream as the client gets it."""
    match event:
        case streams.Source(miner):
            return {"type": "source", "miner": miner}
        case streams.Stage(status):
            return {"type": "stage", "status": status.value}
        case streams.Text(text):
            return {"type": "token", "text": text}
        case streams.Done(miner, finish_reason, prompt_tokens, completion_tokens):
            return {
                "type": "done",
                "miner": miner,
                "finish_reason": finish_reason,
                "prompt_tokens": prompt_tokens,
                "completion_tokens": completion_tokens,
            }
        case streams.Results(results):
            return {"type": "results", "miners": [result.address for result in results]}


def _api_key_in(text: str) -> str:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        message = None
    key = message.get("api_key") if isinstance(message, dict) else None
    if not isinstance(key, str) or message.get("type") != "auth":
        raise AuthenticationFailed('the first message must be {"type": "auth", "api_key": "…"}')
    return key


def _find(secret: str, session_id: int, task_id: int) -> Task:
    try:
        find_session(session_id, bearer(secret))
        task = Task.objects.filter(session_id=session_id, task_id=task_id).first()
    finally:
        if not connection.in_atomic_block:
            connection.close()
    if task is None:
        raise TaskNotFound(f"session {session_id} has no task {task_id} that this router knows")
    return task


def _close_code(error: Exception) -> int:
    match error:
        case AuthenticationFailed():
            return CLOSE_UNAUTHORISED
        case SessionNotFound() | TaskNotFound():
            return CLOSE_NOT_FOUND
        case _:
            return CLOSE_FAILED
