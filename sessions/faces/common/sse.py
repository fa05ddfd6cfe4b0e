"""Server-sent events of an answer, in the form of OpenAI's text completions.

Every event that moves the answer on has an id, `sessions.streams.answer.AnswerPosition`. A client
whose connection broke sends the last one it has to `GET /tasks/{sessionId}/{taskId}/stream`, at any
router process, and gets what follows it.
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
"""Proxies commonly close what has been silent for 30 or 60 seconds."""
_PING = b": ping\n\n"
_DONE = b"data: [DONE]\n\n"
_TEXT = "\x00"
"""Stands for the text in the form of a chunk: no JSON has it unescaped."""


class EventStream(StreamingHttpResponse):
    """A response of server-sent events, which nobody on its way keeps or gathers."""

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
    """The live answer of a task as an event stream; an error is its last event.

    Args:
        on_end: called when nothing more is waited for, before the last event is given away.
    """
    log_context.bind(session_id=task.session_id, task_id=task.task_id)
    # The ids come at once, so that a client can look for its task whatever happens.
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
    """An error that ends a stream; one that passes says where to go on."""
    problem = to_problem(error)
    event = {"error": problem, "session_id": task.session_id, "task_id": task.task_id}
    if problem["status"] == 503:
        event["resume"] = {"url": stream_url(task), "last_event_id": last_id}
    return event


def stream_url(task: Task) -> str:
    """Where a task's answer can be followed; on this host unless the settings name another."""
    return f"{settings.PUBLIC_URL}/api/v1/tasks/{task.session_id}/{task.task_id}/stream"


def chunk(task: Task, text: str, done: AnswerDone | None = None) -> dict[str, Any]:
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


def _event(body: dict[str, Any]) -> bytes:
    return _encoded(f"data: {json.dumps(body, ensure_ascii=False)}\n\n")


def _encoded(text: str) -> bytes:
    # Half of a surrogate pair is no character; a miner that sends one must not end the stream.
    return text.encode(errors="replace")
