"""Server-sent events of an answer, in the form of OpenAI's text completions."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from sessions import streams
from sessions.api.errors import to_problem
from sessions.models import Task

PING_S = 15.0
_PING = b": ping\n\n"
_DONE = b"data: [DONE]\n\n"


async def answer_events(task: Task, wait_s: float, ping_s: float = PING_S) -> AsyncGenerator[bytes]:
    """The live answer of a task as an event stream; an error is its last event."""
    # The ids come at once, so that a client can look for its task whatever happens.
    yield _event(chunk(task, ""))
    answer = streams.follow_answer(task.session_id, task.task_id, wait_s)
    async with aclosing(_with_pings(answer, ping_s)) as events:
        try:
            async for event in events:
                match event:
                    case None:
                        yield _PING
                    case streams.Text(text):
                        yield _event(chunk(task, text))
                    case streams.Done():
                        yield _event(chunk(task, "", done=event))
                        yield _DONE
        except Exception as error:
            problem = to_problem(error)
            yield _event({"error": problem, "session_id": task.session_id, "task_id": task.task_id})


def chunk(task: Task, text: str, done: streams.Done | None = None) -> dict[str, Any]:
    """One piece of an answer; the last one has the finish reason and the usage."""
    piece: dict[str, Any] = header(task) | {
        "choices": [
            {
                "index": 0,
                "text": text,
                "finish_reason": done.finish_reason if done else None,
                "logprobs": None,
            }
        ]
    }
    if done is not None:
        piece["choices"][0]["address"] = done.miner
        piece["usage"] = usage(done.prompt_tokens, done.completion_tokens)
    return piece


def header(task: Task) -> dict[str, Any]:
    """What every completion object and chunk begins with."""
    return {
        "id": f"cmpl-{task.session_id}-{task.task_id}",
        "object": "text_completion",
        "created": int(task.created_at.timestamp()),
        "model": str(task.model_identifier),
        "session_id": task.session_id,
        "task_id": task.task_id,
    }


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """OpenAI's `usage`."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


async def _with_pings(
    events: AsyncGenerator[streams.StreamEvent], ping_s: float
) -> AsyncGenerator[streams.StreamEvent | None]:
    """The events, and None whenever there has been none for `ping_s` seconds."""
    following = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            done, _ = await asyncio.wait({following}, timeout=ping_s)
            if not done:
                yield None
                continue
            event = following.result()
            if event is None:
                return
            yield event
            following = asyncio.ensure_future(anext(events, None))
    finally:
        # The reader has gone: so does the connection to Redis that was reading for it.
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await events.aclose()


def _event(body: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"
