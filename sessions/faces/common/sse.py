"""Answers as server-sent events, in the shape of OpenAI's streamed text completions.

Each event that carries a part of the answer has an id, an
`sessions.streams.answer.AnswerPosition`. A client that lost its connection sends the last id that
it received to `GET /tasks/{sessionId}/{taskId}/stream`, at any router process, and receives the
events after it.
"""

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from django.conf import settings
from django.http import StreamingHttpResponse

from sessions import log_context
from sessions.faces.common.problems import to_problem
from sessions.models import Task
from sessions.streams import answer_stream
from sessions.streams.answer import AnswerDone, AnswerPiece, AnswerPosition

PING_S = 25.0
"""Seconds between pings. Proxies commonly close connections that are silent for 30 or 60 s."""
_PING = b": ping\n\n"
_DONE = b"data: [DONE]\n\n"
_TEXT = "\x00"
"""A placeholder for the text in a chunk's JSON. It is unique, because JSON escapes it elsewhere."""


class EventStream(StreamingHttpResponse):
    """A response of server-sent events, with headers that disable caching and proxy buffering."""

    def __init__(
        self, events: AsyncGenerator[bytes], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(
            events,
            content_type="text/event-stream; charset=utf-8",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no", **(headers or {})},
        )


async def answer_events(
    task: Task,
    wait_s: float,
    ping_s: float = PING_S,
    after: AnswerPosition | None = None,
    on_end: Callable[[], None] = lambda: None,
) -> AsyncGenerator[bytes]:
    """Yield a task's live answer as server-sent events. An error becomes the last event.

    Args:
        on_end: called when the answer is complete or has failed, before the last event is yielded.
    """
    log_context.bind(session_id=task.session_id, task_id=task.task_id)
    # Send the ids first, so that the client can find its task again after any failure.
    yield _event(chunk(task, ""))
    before, behind = (json.dumps(chunk(task, _TEXT), ensure_ascii=False)).split(json.dumps(_TEXT))
    last_id = str(after) if after else ""
    batches = answer_stream.follow_batches(
        task.session_id, task.task_id, wait_s, after=after, tick_s=ping_s
    )
    async with aclosing(batches):
        try:
            async for events in batches:
                if not events:
                    yield _PING
                    continue
                parts: list[str] = []
                for event in events:
                    match event:
                        case AnswerPiece(text, position):
                            last_id = position
                            body = json.dumps(text, ensure_ascii=False)
                            parts.append(f"id: {position}\ndata: {before}{body}{behind}\n\n")
                        case AnswerDone(position=position):
                            body = json.dumps(chunk(task, "", done=event), ensure_ascii=False)
                            parts.append(f"id: {position}\ndata: {body}\n\n")
                            on_end()
                            yield _encoded("".join(parts)) + _DONE
                            return
                if parts:
                    yield _encoded("".join(parts))
        except Exception as error:
            on_end()
            yield _event(failure(error, task, last_id))


def failure(error: Exception, task: Task, last_id: str) -> dict[str, Any]:
    """Return the event for an error that ends a stream. A temporary error says where to resume."""
    problem = to_problem(error)
    event = {"error": problem, "session_id": task.session_id, "task_id": task.task_id}
    if problem["status"] == 503:
        event["resume"] = {"url": stream_url(task), "last_event_id": last_id}
    return event


def stream_url(task: Task) -> str:
    """Return the URL of a task's stream, relative if the setting `PUBLIC_URL` is empty."""
    return f"{settings.PUBLIC_URL}/api/v1/tasks/{task.session_id}/{task.task_id}/stream"


def chunk(task: Task, text: str, done: AnswerDone | None = None) -> dict[str, Any]:
    """Return one chunk of an answer. The last chunk has the finish reason and the usage."""
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
    """Return the members that every completion object and chunk begins with."""
    return {
        "id": f"cmpl-{task.session_id}-{task.task_id}",
        "object": "text_completion",
        "created": int(task.created_at.timestamp()),
        "model": str(task.model_identifier),
        "session_id": task.session_id,
        "task_id": task.task_id,
    }


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """Return OpenAI's `usage` object."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def _event(body: dict[str, Any]) -> bytes:
    return _encoded(f"data: {json.dumps(body, ensure_ascii=False)}\n\n")


def _encoded(text: str) -> bytes:
    # A lone surrogate cannot be encoded. Replace it, so that a miner's text cannot end the stream.
    return text.encode(errors="replace")
