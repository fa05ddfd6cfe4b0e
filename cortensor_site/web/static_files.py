"""Static files by WhiteNoise, without a thread for every other request.

WhiteNoise's own middleware is synchronous. Under ASGI, Django would then keep a thread for the
whole duration of each request, even one that waits minutes for an answer.
"""

from collections.abc import Awaitable, Callable
from typing import cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware

Answer = HttpResponseBase | Awaitable[HttpResponseBase]


class StaticFilesMiddleware:
    """Middleware for sync and async handlers. Only requests for static files use a thread."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Answer]) -> None:
        self.get_response = get_response
        self._files = WhiteNoiseMiddleware(get_response)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Answer:
        return self._answer(request) if self._is_async else self._answer_now(request)

    def _answer_now(self, request: HttpRequest) -> Answer:
        return self._file(request) or self.get_response(request)

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(self._files.static_prefix):
            found = await sync_to_async(self._file)(request)
            if found is not None:
                return found
        return await cast(Awaitable[HttpResponseBase], self.get_response(request))

    def _file(self, request: HttpRequest) -> HttpResponseBase | None:
        """Return the static file of this path, or None."""
        if self._files.autorefresh:
            file = self._files.find_file(request.path_info)
        else:
            file = self._files.files.get(request.path_info)
        return None if file is None else self._files.serve(file, request)
