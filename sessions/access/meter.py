"""The headers `x-ratelimit-*`, which tell a client its limits.

A middleware sets an empty meter in a context variable, so that it is available in any thread. The
code that takes from a limit records it in the meter. The middleware also releases a stream's slot
when the stream ends.
"""

import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase

from sessions.access.buckets import RateAllowance
from sessions.access.streams import StreamSlot

METERED = ("/api/", "/v1/", "/ipfs/")

Answer = HttpResponseBase | Awaitable[HttpResponseBase]


@dataclass
class Meter:
    """The limits that one request has been checked against. `remote` is the client's IP address."""

    remote: str
    allowances: dict[str, RateAllowance] = field(default_factory=dict)
    slot: StreamSlot | None = None

    def headers(self) -> dict[str, str]:
        """Return OpenAI's headers: `x-ratelimit-limit-requests`, `-remaining-`, `-reset-` etc."""
        said: dict[str, str] = {}
        for name, allowance in self.allowances.items():
            said[f"x-ratelimit-limit-{name}"] = str(allowance.limit)
            said[f"x-ratelimit-remaining-{name}"] = str(allowance.remaining)
            said[f"x-ratelimit-reset-{name}"] = f"{allowance.full_in_s:.3f}s"
        return said


_current: ContextVar[Meter | None] = ContextVar("cortensor_meter", default=None)


def current() -> Meter | None:
    """Return the meter of the current request, or None outside of a request."""
    return _current.get()


class MeterMiddleware:
    """Middleware that is sync and async capable, so that no request needs an additional thread."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Answer]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Answer:
        if not request.path.startswith(METERED):
            return self.get_response(request)
        if self._is_async:
            return self._answer(request)
        with metered(_remote_of(request)) as meter:
            response = cast(HttpResponseBase, self.get_response(request))
        if not _keep_slot(meter, response) and meter.slot is not None:
            meter.slot.release()
        return _with_headers(response, meter)

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        with metered(_remote_of(request)) as meter:
            response = await cast(Awaitable[HttpResponseBase], self.get_response(request))
        if not _keep_slot(meter, response) and meter.slot is not None:
            await sync_to_async(meter.slot.release, thread_sensitive=False)()
        return _with_headers(response, meter)


def _remote_of(request: HttpRequest) -> str:
    return str(request.META.get("REMOTE_ADDR") or "unknown")


@contextmanager
def metered(remote: str) -> Iterator[Meter]:
    """Set a meter for the body. If the body fails, release its stream slot."""
    meter = Meter(remote)
    token = _current.set(meter)
    try:
        yield meter
    except BaseException:
        if meter.slot is not None:
            meter.slot.release()
        raise
    finally:
        _current.reset(token)


def _with_headers(response: HttpResponseBase, meter: Meter) -> HttpResponseBase:
    for name, value in meter.headers().items():
        response[name] = value
    return response


def _keep_slot(meter: Meter, response: HttpResponseBase) -> bool:
    """Keep a streaming response's slot until the stream ends. Return False if there is none."""
    if meter.slot is None or not isinstance(response, StreamingHttpResponse):
        return False
    if not response.is_async:
        return False
    stream = cast(AsyncIterator[Any], response.streaming_content)
    response.streaming_content = _until_over(stream, meter.slot)
    # If the client leaves before the first piece is read, the generator never runs its `finally`.
    weakref.finalize(response, meter.slot.release)
    return True


async def _until_over(stream: AsyncIterator[Any], slot: StreamSlot) -> AsyncIterator[Any]:
    try:
        async for part in stream:
            yield part
    finally:
        await sync_to_async(slot.release, thread_sensitive=False)()
