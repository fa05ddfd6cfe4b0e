"""The URL patterns of WebSockets."""

from typing import Any, cast

from django.urls import path, re_path

from sessions.faces.sockets.consumer import CLOSE_NOT_FOUND
from sessions.faces.sockets.feed import NetworkConsumer, SessionConsumer
from sessions.faces.sockets.task import TaskConsumer


async def unknown(scope: Any, receive: Any, send: Any) -> None:
    """Close a WebSocket of an unknown path.

    It is accepted first, because browsers hide the HTTP status of a refused connection but show a
    close code.
    """
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
