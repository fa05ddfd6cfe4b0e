"""Streams chat completions to one client, and measures their times."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Target:
    """A server with OpenAI's API. `members` are added to the body of each request."""

    name: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """The text of a stream, and the times of its first and last piece in seconds."""

    text: str
    first_s: float
    last_s: float


@dataclass(frozen=True)
class Burst:
    """Streams that ran at once, and the time that they took together, in seconds."""

    replies: list[Reply]
    seconds: float


async def burst(target: Target, prompts: list[str], max_tokens: int) -> Burst:
    """Send all prompts at once, each over a connection of its own."""
    limits = httpx.Limits(max_connections=len(prompts))
    async with httpx.AsyncClient(timeout=TIMEOUT_S, limits=limits, headers=target.headers) as http:
        # Open the connections first, as those of a client that has sent requests before.
        await asyncio.gather(*(http.get(f"{target.url}/v1/models") for _ in prompts))
        started = time.perf_counter()
        replies = await asyncio.gather(
            *(_stream(http, target, prompt, max_tokens) for prompt in prompts)
        )
    return Burst(list(replies), time.perf_counter() - started)


async def _stream(http: httpx.AsyncClient, target: Target, prompt: str, max_tokens: int) -> Reply:
    body = {
        "model": "cortensor-mini",
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": max_tokens,
        "temperature": 0,
        "stream": True,
    }
    pieces: list[str] = []
    started, first = time.perf_counter(), 0.0
    url = f"{target.url}/v1/chat/completions"
    async with http.stream("POST", url, json=body | dict(target.members)) as response:
        if not response.is_success:
            raise RuntimeError(f"{target.name}: {response.status_code} {await response.aread()!r}")
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            chunk = json.loads(line.removeprefix("data: "))
            if "error" in chunk:
                raise RuntimeError(f"{target.name}: {chunk['error']}")
            for choice in chunk["choices"]:
                if piece := choice["delta"].get("content"):
                    first = first or time.perf_counter() - started
                    pieces.append(piece)
                    last = time.perf_counter() - started
    if not pieces:
        raise RuntimeError(f"{target.name}: no token")
    return Reply("".join(pieces), first, last)
