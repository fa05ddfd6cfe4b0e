"""An OpenAI-compatible server of one model, like vLLM and llama-server, for tests of `upstream`.

A real model runs behind real HTTP and samples with llama.cpp's own sampler. Prompts arrive as
tokens. The server stores its requests, and can be told to fail in the ways of such servers.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llama_cpp import Llama

MODEL = "some-model"
Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass
class CompletionsServer:
    """The application, for `tests.serving.serve`."""

    path: Path
    api_key: str = "a key of the server's"
    fault: Callable[[Send], Awaitable[None]] | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    broken_off: int = 0
    """The number of answers whose client disconnected before the end."""

    def __post_init__(self) -> None:
        self._llama = Llama(str(self.path), n_ctx=512, verbose=False)
        self._lock = asyncio.Lock()  # a `Llama` can run one request at a time

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Send) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        if headers.get("authorization") != f"Bearer {self.api_key}":
            await answer(send, 401, {"error": {"message": "Incorrect API key provided"}})
        elif scope["path"] == "/v1/models":
            await answer(send, 200, {"object": "list", "data": [{"id": MODEL}]})
        elif scope["path"] != "/v1/completions":
            await answer(send, 404, {"error": "not found"})
        else:
            body = b""
            while True:
                event = await receive()
                body += event.get("body", b"")
                if not event.get("more_body"):
                    break
            self.asked.append(json.loads(body))
            if self.fault is not None:
                await self.fault(send)
            else:
                await self._complete(self.asked[-1], receive, send)

    async def _complete(self, asked: dict[str, Any], receive: Any, send: Send) -> None:
        await start_stream(send)
        gone = asyncio.create_task(self._until_gone(receive))
        names = ("max_tokens", "temperature", "seed", "top_p", "top_k", "min_p", "stop")
        options = {name: asked[name] for name in names if name in asked}
        bias = {int(token): value for token, value in asked.get("logit_bias", {}).items()}
        async with self._lock:
            chunks = self._llama.create_completion(
                asked["prompt"], stream=True, logit_bias=bias or None, **options
            )
            while not gone.done():
                chunk = await asyncio.to_thread(next, chunks, None)
                if chunk is None:
                    break
                await send_event(send, json.dumps(chunk))
        if gone.done():
            self.broken_off += 1
            return
        gone.cancel()
        await send_event(send, "[DONE]")
        await send({"type": "http.response.body", "body": b""})

    async def _until_gone(self, receive: Any) -> None:
        with suppress(asyncio.CancelledError):
            while (await receive())["type"] != "http.disconnect":
                pass


async def answer(send: Send, status: int, body: object) -> None:
    """Send a complete JSON response."""
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


async def start_stream(send: Send) -> None:
    """Send the headers of a streamed response."""
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def send_event(send: Send, data: str) -> None:
    """Send an event of a streamed response."""
    body = f"data: {data}\n\n".encode()
    await send({"type": "http.response.body", "body": body, "more_body": True})
