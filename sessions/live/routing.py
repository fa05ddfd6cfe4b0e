"""The addresses of the WebSocket side."""

from django.urls import path, re_path

from sessions.live.feed import NetworkConsumer, SessionConsumer
from sessions.live.task import TaskConsumer

websocket_urlpatterns = [
    path("ws/network", NetworkConsumer.as_asgi()),
    re_path(r"^ws/sessions/(?P<session_id>[0-9]{1,18})$", SessionConsumer.as_asgi()),
    re_path(
        r"^ws/tasks/(?P<session_id>[0-9]{1,18})/(?P<task_id>[0-9]{1,18})$", TaskConsumer.as_asgi()
    ),
]
