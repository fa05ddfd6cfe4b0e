"""ASGI middleware that limits the size of a request's body and the time for sending it."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from django.conf import settings

from sessions.faces.common.request_id import echoed
from sessions.faces.openai.errors import INVALID_REQUEST, ErrorObject

BODY_WITHIN_S = float(os.environ.get("BODY_WITHIN_S", "30"))
_CODES = {408: "request_timeout", 413: "request_too_large", 415: "unsupported_media_type"}
Message = MutableMapping[str, Any]
Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class BodyLimit:
    """Reads the whole body before Django runs, so that a slow or endless body uses no thread."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        refuse = partial(_refuse, scope, send)
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            await refuse(
                415,
                "The body must be plain",
                "a compressed body is not read; send it without Content-Encoding",
                (b"accept-encoding", b"identity"),
            )
            return
        if b"content-length" not in headers and b"transfer-encoding" not in headers:
            await self._application(scope, receive, send)
            return
        try:
            async with asyncio.timeout(BODY_WITHIN_S):
                body = await _read(headers.get(b"content-length", b"0"), receive)
        except TimeoutError:
            await refuse(408, "The body did not come in time", f"{BODY_WITHIN_S:g} s")
            return
        if body is None:
            limit = f"{settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes"
            await refuse(413, "The request is too large", f"the body is larger than {limit}")
            return
        if body.get("type") == "http.disconnect":
            return
        pending = [body]

        async def replay() -> Any:
            return pending.pop() if pending else await receive()

        await self._application(scope, replay, send)


async def _read(announced: bytes, receive: Any) -> Message | None:
    """Return the body as one message, or the disconnect message. None if the body is too large."""
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if announced.isdigit() and int(announced[:19]) > most:
        return None
    parts, size, more = [], 0, True
    while more:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            return message
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            return None
        more = message.get("more_body", False)
    return {"type": "http.request", "body": b"".join(parts), "more_body": False}


async def _refuse(
    scope: dict[str, Any],
    send: Any,
    status: int,
    title: str,
    detail: str,
    *more: tuple[bytes, bytes],
) -> None:
    """Answer in the error format of the API that the request addresses."""
    content, content_type = _document(scope["path"], status, title, detail)
    body = json.dumps(content).encode()
    sent = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
    headers = [
        (b"content-type", content_type),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        (b"x-request-id", echoed(sent).encode()),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _document(path: str, status: int, title: str, detail: str) -> tuple[dict[str, Any], bytes]:
    if path.startswith("/v1/"):
        error = ErrorObject(status, f"{title}: {detail}.", INVALID_REQUEST, None, _CODES[status])
        return error.to_json(), b"application/json"
    problem = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "errors": [],
    }
    return problem, b"application/problem+json"
