"""The addresses of the WebSocket side."""

from typing import Any, cast

from django.urls import path, re_path

from sessions.live.feed import NetworkConsumer, SessionConsumer
from sessions.live.task import TaskConsumer


async def unknown(scope: Any, receive: Any, send: Any) -> None:
    """Refuse (403) a socket that nobody serves."""
    await receive()
    await send({"type": "websocket.close", "code": 4404})


websocket_urlpatterns = [
    path("ws/network", NetworkConsumer.as_asgi()),
    re_path(r"^ws/sessions/(?P<session_id>[0-9]{1,18})$", SessionConsumer.as_asgi()),
    re_path(
        r"^ws/tasks/(?P<session_id>[0-9]{1,18})/(?P<task_id>[0-9]{1,18})$", TaskConsumer.as_asgi()
    ),
    re_path("", cast(Any, unknown)),
]
