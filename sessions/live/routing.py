"""The addresses of the WebSocket side."""

from django.urls import path, re_path

from sessions.live.network import NetworkConsumer
from sessions.live.task import TaskConsumer

websocket_urlpatterns = [
    path("ws/network", NetworkConsumer.as_asgi()),
    re_path(r"^ws/tasks/(?P<session_id>\d{1,18})/(?P<task_id>\d{1,18})$", TaskConsumer.as_asgi()),
]
