"""The origin check of WebSockets: pages of this host and of `CSRF_TRUSTED_ORIGINS` may connect.

A browser sends its cookies with every WebSocket that any page opens, and states the page's origin
in the header `Origin`. Other clients send no `Origin`, and no cookies that a page could abuse.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[None]]


class OriginCheck:
    """ASGI middleware that refuses (403) a connection from a page of another origin."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1")
        if origin and not _is_trusted(origin, headers.get(b"host", b"").decode("latin-1")):
            await receive()
            await send({"type": "websocket.close", "code": 4403})
            return
        await self._application(scope, receive, send)


def _is_trusted(origin: str, host: str) -> bool:
    try:
        netloc = urlsplit(origin).netloc
    except ValueError:
        return False
    return (bool(netloc) and netloc == host) or origin in settings.CSRF_TRUSTED_ORIGINS
