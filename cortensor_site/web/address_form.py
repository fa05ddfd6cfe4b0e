"""ASGI middleware: an address of the programs' interfaces is the same with a slash at its end.

Clients put addresses together from pieces: a base with a slash and a path with one make `//`, and
many libraries end every path with one. A redirect would drop the body of a POST.
"""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Application = Callable[[Any, Any, Any], Awaitable[None]]

_PROGRAMS = ("/api/", "/v1/", "/ws/", "/ipfs/")
_SLASHES = re.compile("/{2,}")


class AddressForm:
    """Hands on programs' addresses without doubled slashes and without one at the end."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        await self._application({**scope, "path": plain(scope["path"])}, receive, send)


def plain(path: str) -> str:
    """The address as it is published; pages keep theirs."""
    single = _SLASHES.sub("/", path)
    return single.rstrip("/") if single.startswith(_PROGRAMS) else path
