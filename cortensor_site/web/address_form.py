"""ASGI middleware that accepts API paths with a trailing slash or doubled slashes.

Clients build URLs from pieces: a base with a slash and a path with a slash give `//`, and many
libraries append a slash to every path. A redirect would drop the body of a POST.
"""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Application = Callable[[Any, Any, Any], Awaitable[None]]

_PROGRAMS = ("/api/", "/v1/", "/ws/", "/ipfs/")
_SLASHES = re.compile("/{2,}")


class AddressForm:
    """Removes doubled and trailing slashes from API paths."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        await self._application({**scope, "path": plain(scope["path"])}, receive, send)


def plain(path: str) -> str:
    """Return the published form of an API path. Paths of pages stay unchanged."""
    single = _SLASHES.sub("/", path)
    return single.rstrip("/") if single.startswith(_PROGRAMS) else path
