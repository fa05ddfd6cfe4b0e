"""The addresses of `/api/v1`."""

from django.urls import include, path, re_path, register_converter

from sessions.api.completion_views import completions
from sessions.api.errors import not_found
from sessions.api.router_views import AboutView, InfoView, MinersView, PingView, StatusView
from sessions.api.session_views import (
    SessionsView,
    SessionView,
    TaskCancelView,
    TasksView,
    TaskView,
)
from sessions.api.stream_views import task_stream
from sessions.x402.views import paid_completions


class Number:
    """A whole number that the database can hold."""

    regex = "[0-9]{1,18}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


register_converter(Number, "number")

urlpatterns = [
    path("about", AboutView.as_view()),
    path("info", InfoView.as_view()),
    path("status", StatusView.as_view()),
    path("ping", PingView.as_view()),
    path("miners", MinersView.as_view()),
    path("sessions", SessionsView.as_view()),
    path("sessions/<number:session_id>", SessionView.as_view()),
    path("tasks/<number:session_id>", TasksView.as_view()),
    path("tasks/<number:session_id>/<number:task_id>", TaskView.as_view()),
    path("tasks/<number:session_id>/<number:task_id>/stream", task_stream),
    path("tasks/<number:session_id>/<number:task_id>/cancel", TaskCancelView.as_view()),
    path("completions", completions),
    path("completions/<number:session_id>", completions),
    path("x402/completions", paid_completions),
    path("x402/completions/<number:session_id>", paid_completions),
    path("", include("sessions.api.access_urls")),
    re_path("", not_found),
]
