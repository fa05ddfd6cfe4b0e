"""What a request is told about its limits: the `x-ratelimit-*` headers of its answer.

A middleware puts an empty meter where the code that answers finds it, in whatever thread; who takes
from a limit notes it there. The middleware also gives a stream's place back when it is over.
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
    """The limits of one request, as far as they were asked. `remote` is the client's IP address."""

    remote: str
    allowances: dict[str, RateAllowance] = field(default_factory=dict)
    slot: StreamSlot | None = None

    def headers(self) -> dict[str, str]:
        """OpenAI's headers: `x-ratelimit-limit-requests`, `-remaining-`, `-reset-` and so on."""
        said: dict[str, str] = {}
        for name, allowance in self.allowances.items():
            said[f"x-ratelimit-limit-{name}"] = str(allowance.limit)
            said[f"x-ratelimit-remaining-{name}"] = str(allowance.remaining)
            said[f"x-ratelimit-reset-{name}"] = f"{allowance.full_in_s:.3f}s"
        return said


_current: ContextVar[Meter | None] = ContextVar("cortensor_meter", default=None)


def current() -> Meter | None:
    """The meter of the request that is being answered; None outside of HTTP."""
    return _current.get()


class MeterMiddleware:
    """Middleware for both kinds of handlers, so that it never costs a thread."""

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
        if not _hold(meter, response) and meter.slot is not None:
            meter.slot.release()
        return _told(response, meter)

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        with metered(_remote_of(request)) as meter:
            response = await cast(Awaitable[HttpResponseBase], self.get_response(request))
        if not _hold(meter, response) and meter.slot is not None:
            await sync_to_async(meter.slot.release, thread_sensitive=False)()
        return _told(response, meter)


def _remote_of(request: HttpRequest) -> str:
    return str(request.META.get("REMOTE_ADDR") or "unknown")


@contextmanager
def metered(remote: str) -> Iterator[Meter]:
    """A meter for what is answered inside; a place that was taken is given back on failure."""
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


def _told(response: HttpResponseBase, meter: Meter) -> HttpResponseBase:
    for name, value in meter.headers().items():
        response[name] = value
    return response


def _hold(meter: Meter, response: HttpResponseBase) -> bool:
    """Let a stream keep its place until it is over; False where there is nothing to keep."""
    if meter.slot is None or not isinstance(response, StreamingHttpResponse):
        return False
    if not response.is_async:
        return False
    stream = cast(AsyncIterator[Any], response.streaming_content)
    response.streaming_content = _until_over(stream, meter.slot)
    # A client may leave before the first piece is asked for, and then nothing is ever "over".
    weakref.finalize(response, meter.slot.release)
    return True


async def _until_over(stream: AsyncIterator[Any], slot: StreamSlot) -> AsyncIterator[Any]:
    try:
        async for part in stream:
            yield part
    finally:
        await sync_to_async(slot.release, thread_sensitive=False)()
