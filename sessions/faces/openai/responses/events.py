"""The server-sent events of an answer: the choices as their miners make them, in one stream."""

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
"""How many events may wait for a slow reader; then its miners' streams are read no further."""
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
    """The live answers of some tasks, one a choice; an error is the last event.

    Args:
        on_end: called when nothing more is waited for, before the last event is given away.
    """
    unknown_usage = {"usage": None} if include_usage else {}
    # The ids come at once, so that a client can look for its tasks whatever happens.
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
    """All tasks' events with the number of the task, and None when there is none for `ping_s`.

    Ends after every task's `Done`, or the first error.
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
        # The reader has gone, or one failed: so do the connections that were reading for it.
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
