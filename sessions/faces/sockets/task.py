"""`/ws/tasks/{sessionId}/{taskId}`: the live answer of one task, for the session's owner.

The messages have the types `source`, `stage`, `token` and, at the end, `done`. The type `results`
lists the miners whose results count.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from channels.db import database_sync_to_async

from sessions.faces.common.answering import wait_s
from sessions.faces.common.followed_task import find_task, require_stream
from sessions.faces.sockets.consumer import FollowingConsumer, Message
from sessions.streams import answer_stream
from sessions.streams.answer import (
    AnswerDone,
    AnswerPiece,
    AnswerPosition,
    ResultsCounted,
    SourceChosen,
    StageReached,
    StreamEvent,
)


class TaskConsumer(FollowingConsumer):
    """Follows one task until its answer is complete."""

    async def messages(self) -> AsyncGenerator[Message]:
        session_id, task_id = self.number("session_id"), self.number("task_id")
        self.ids = {"session_id": session_id, "task_id": task_id}
        authorization = await self.authorization()
        task = await database_sync_to_async(find_task)(authorization, session_id, task_id)
        self.last_id = self.resumes_after()
        after = AnswerPosition.parse(self.last_id, "last_event_id")
        if after.is_end:
            return
        await require_stream(task)
        answer = answer_stream.follow_answer(session_id, task_id, wait_s(task), after)
        async with aclosing(answer) as events:
            async for event in events:
                yield to_message(event)


def to_message(event: StreamEvent) -> dict[str, Any]:
    """Return the message for an event of a task's stream."""
    match event:
        case SourceChosen(miner):
            return {"type": "source", "miner": miner}
        case StageReached(status):
            return {"type": "stage", "status": status.value}
        case AnswerPiece(text, position):
            return {"type": "token", "text": text, "id": position}
        case AnswerDone(miner, finish_reason, prompt_tokens, completion_tokens, position):
            return {
                "type": "done",
                "miner": miner,
                "finish_reason": finish_reason,
                "prompt_tokens": prompt_tokens,
                "completion_tokens": completion_tokens,
                "id": position,
            }
        case ResultsCounted(results):
            return {"type": "results", "miners": [result.address for result in results]}
