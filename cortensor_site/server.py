"""The web server of a router process: uvicorn, with limits on the resources that a client can use.

    python -m cortensor_site.server --port 5010

Several processes may share a port (`--reuse-port`, Linux) or run behind a load balancer. Each of
them can serve any request, and a stream can be resumed at another process.
"""

import argparse
import asyncio
import gc
import json
import os
import socket
from types import FrameType
from typing import Any

import httptools
import uvicorn
from django.core.signals import request_started
from django.db import close_old_connections, reset_queries
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from cortensor_site.asgi import application
from cortensor_site.stack.limits import allow_files
from sessions.streams.reader import stop_following

HEAD_WITHIN_S = float(os.environ.get("HEAD_WITHIN_S", "20"))
"""The time within which a client has to send the head of a request."""
MAX_HEAD_BYTES = 64 * 1024
MAX_CONNECTIONS = int(os.environ.get("MAX_CONNECTIONS", "16384"))
MAX_MESSAGE_BYTES = 64 * 1024
"""The largest WebSocket message. Clients send nothing but their key."""
SEND_BUFFER_BYTES = 128 * 1024
UNREAD_WITHIN_S = 45
"""The time after which the kernel drops a connection whose client reads nothing."""
WEBSOCKET_PING_S = 30.0
DRAIN_S = 1.0
"""The time for telling followers where to resume, before connections are closed."""
GRACE_S = 5
"""The time for finishing open requests at shutdown."""
_REFUSALS = {
    400: "The request is not HTTP that this router reads",
    408: "The request did not come in time",
    431: f"The request's head is larger than {MAX_HEAD_BYTES} bytes",
    503: "This router process has too many connections",
}


class HttpConnection(HttpToolsProtocol):
    """An HTTP connection with limits on the size of a request's head and on its time."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._in_head, self._head_bytes, self._head_size = True, 0, 0
        self._head_timer: asyncio.TimerHandle | None = None
        _bound_unread(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self.refuse(503)
        else:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_complete()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES:
            self.refuse(431)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes, self._head_size = True, 0, 0
        self._expect_head()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_complete()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that the parser could not read."""
        self.refuse(431 if self._head_size > MAX_HEAD_BYTES else 400)

    def refuse(self, status: int) -> None:
        """Answer with a problem document and close the connection, without the application."""
        if self.transport.is_closing():
            return
        self._head_complete()
        self.transport.write(refusal(status))
        self.transport.close()

    def _count(self, size: int) -> None:
        self._head_size += size
        if self._head_size > MAX_HEAD_BYTES:
            raise httptools.HttpParserError("the head is too large")

    def _expect_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_WITHIN_S, self.refuse, 408)

    def _head_complete(self) -> None:
        self._in_head, self._head_bytes = False, 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class WebSocketConnection(WebSocketsSansIOProtocol):
    """A WebSocket that the application can abort even if the client reads nothing any more."""

    async def run_asgi(self) -> None:
        extensions: dict[str, Any] = self.scope.setdefault("extensions", {})
        extensions["cortensor.abort"] = self.transport.abort
        await super().run_asgi()


class RouterServer(uvicorn.Server):
    """A server that tells its followers to reconnect elsewhere before it stops."""

    _draining = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._draining or not self.started:
            super().handle_exit(sig, frame)
            return
        self._draining = True
        stop_following()
        self._loop.call_soon_threadsafe(
            lambda: self._loop.call_later(DRAIN_S, super(RouterServer, self).handle_exit, sig, None)
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)


def refusal(status: int) -> bytes:
    """Return a complete HTTP response with a problem document."""
    problem = {
        "type": "about:blank",
        "title": _REFUSALS[status],
        "status": status,
        "detail": _REFUSALS[status],
        "errors": [],
    }
    body = json.dumps(problem).encode()
    phrase = {400: "Bad Request", 408: "Request Timeout", 503: "Service Unavailable"}.get(
        status, "Request Header Fields Too Large"
    )
    head = (
        f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/problem+json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body


def configuration(**options: Any) -> uvicorn.Config:
    """Return uvicorn's configuration for the router."""
    return uvicorn.Config(
        application,
        http=HttpConnection,
        ws=WebSocketConnection,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_ping_interval=WEBSOCKET_PING_S,
        ws_ping_timeout=WEBSOCKET_PING_S,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
        backlog=4096,
        **options,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5010)
    parser.add_argument("--reuse-port", action="store_true", help="share the port (Linux)")
    arguments = parser.parse_args()
    allow_files()
    # Exclude loaded modules from garbage collection, and collect less often: a stream creates many
    # small objects, but few reference cycles.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    # A request's threads start without a database connection. Django's handlers, which look for old
    # connections there, would cost each request a thread.
    request_started.disconnect(close_old_connections)
    request_started.disconnect(reset_queries)
    with socket.socket(socket.AF_INET6 if ":" in arguments.host else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if arguments.reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((arguments.host, arguments.port))
        RouterServer(configuration()).run([listener])


def _bound_unread(transport: asyncio.BaseTransport) -> None:
    """Limit the kernel memory that a client can use without reading, and the time it is held."""
    connection = transport.get_extra_info("socket")
    if connection is None or connection.family == socket.AF_UNIX:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    if (option := getattr(socket, "TCP_USER_TIMEOUT", None)) is not None:
        connection.setsockopt(socket.IPPROTO_TCP, option, UNREAD_WITHIN_S * 1000)


if __name__ == "__main__":
    main()
