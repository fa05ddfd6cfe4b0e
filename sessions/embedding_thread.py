"""The thread that computes embeddings, so that they take no time from live streams.

Requests beyond `MAX_WAITING` are refused for the moment.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from sessions.errors import EmbeddingsBusy

MAX_WAITING = 8
"""Requests that wait for the thread, the one at work included."""

P = ParamSpec("P")
T = TypeVar("T")

_thread = ThreadPoolExecutor(1, thread_name_prefix="embeddings")
_waiting = 0


async def run(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do some work on the thread.

    Raises:
        EmbeddingsBusy: too many wait already.
    """
    global _waiting
    if _waiting >= MAX_WAITING:
        raise EmbeddingsBusy("too many requests wait for embeddings", remedy="try again soon")
    _waiting += 1
    try:
        return await asyncio.wrap_future(_thread.submit(work, *args, **kwargs))
    finally:
        _waiting -= 1
