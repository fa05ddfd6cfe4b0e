"""The server-sent events of an answer. All choices share one stream, in order of arrival."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from sessions.errors import TaskFailed
from sessions.faces.common.answering import wait_s
from sessions.faces.common.sse import PING_S
from sessions.faces.openai.errors import read_error
from sessions.faces.openai.responses.shapes import AnswerShape
from sessions.models import Task
from sessions.streams import answer_stream
from sessions.streams.answer import AnswerDone, AnswerPiece, StreamEvent

WAITING_EVENTS = 64
"""How many events may wait for a slow client before reading of the miners' streams pauses."""
_PING = b": ping\n\n"
_DONE = b"data: [DONE]\n\n"

_Event = StreamEvent | Exception


async def answer_events(
    tasks: Sequence[Task],
    shape: AnswerShape,
    *,
    include_usage: bool,
    names: Mapping[str, str],
    on_end: Callable[[], None],
    ping_s: float = PING_S,
) -> AsyncGenerator[bytes]:
    """Yield the live answers of tasks, one for each choice. An error becomes the last event.

    Args:
        on_end: called when the answers are complete or one has failed, before the last event is
            yielded.
    """
    unknown_usage = {"usage": None} if include_usage else {}
    # Send the ids first, so that the client can find its tasks again after any failure.
    for index in range(len(tasks)):
        yield _event(shape.opening(index) | unknown_usage)
    prompt_tokens = completion_tokens = 0
    async with aclosing(_merged(tasks, ping_s)) as events:
        async for index, event in events:
            match event:
                case None:
                    yield _PING
                case AnswerPiece(text, logprobs=logprobs):
                    piece = shape.piece(index, text, logprobs)
                    yield _event(piece | unknown_usage)
                case AnswerDone():
                    yield _event(
                        shape.ending(index, event.finish_reason, event.miner) | unknown_usage
                    )
                    prompt_tokens += event.prompt_tokens
                    completion_tokens += event.completion_tokens
                case Exception():
                    on_end()
                    yield _event(read_error(event, names).to_json())
                    return
    on_end()
    if include_usage:
        yield _event(shape.totals(prompt_tokens, completion_tokens))
    yield _DONE


async def _merged(
    tasks: Sequence[Task], ping_s: float
) -> AsyncGenerator[tuple[int, _Event | None]]:
    """Yield all tasks' events with the task's index, and None after `ping_s` without an event.

    The generator ends after every task's `AnswerDone`, or after the first error.
    """
    waiting: asyncio.Queue[tuple[int, _Event]] = asyncio.Queue(WAITING_EVENTS)
    followers = [
        asyncio.create_task(_follow(index, task, waiting)) for index, task in enumerate(tasks)
    ]
    left = len(tasks)
    try:
        while left:
            try:
                async with asyncio.timeout(ping_s):
                    index, event = await waiting.get()
            except TimeoutError:
                yield 0, None
                continue
            left -= isinstance(event, AnswerDone)
            yield index, event
            if isinstance(event, Exception):
                return
    finally:
        # Stop all followers, since the client has left, the answers are complete, or one failed.
        for follower in followers:
            follower.cancel()
        await asyncio.gather(*followers, return_exceptions=True)


async def _follow(index: int, task: Task, waiting: asyncio.Queue[tuple[int, _Event]]) -> None:
    answer = answer_stream.follow_answer(task.session_id, task.task_id, wait_s(task))
    try:
        async with aclosing(answer) as events:
            async for event in events:
                await waiting.put((index, event))
                if isinstance(event, AnswerDone):
                    return
        raise TaskFailed("the task ended without a result")
    except Exception as error:
        await waiting.put((index, error))


def _event(body: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"
