"""The addresses of the WebSocket side."""

from typing import Any, cast

from django.urls import path, re_path

from sessions.faces.sockets.consumer import CLOSE_NOT_FOUND
from sessions.faces.sockets.feed import NetworkConsumer, SessionConsumer
from sessions.faces.sockets.task import TaskConsumer


async def unknown(scope: Any, receive: Any, send: Any) -> None:
    """Close a socket that nobody serves; it is opened first, since browsers show no status."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": CLOSE_NOT_FOUND})


websocket_urlpatterns = [
    path("ws/network", NetworkConsumer.as_asgi()),
    re_path(r"^ws/sessions/(?P<session_id>[0-9]{1,18})$", SessionConsumer.as_asgi()),
    re_path(
        r"^ws/tasks/(?P<session_id>[0-9]{1,18})/(?P<task_id>[0-9]{1,18})$", TaskConsumer.as_asgi()
    ),
    re_path("", cast(Any, unknown)),
]
