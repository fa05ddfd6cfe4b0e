"""The URL patterns of `/api/v1`."""

from django.urls import include, path, re_path

from sessions.faces.common import converters  # noqa: F401  (registers `number`)
from sessions.faces.common.problems import not_found
from sessions.faces.rest import access_urls
from sessions.faces.rest.views.completions import completions
from sessions.faces.rest.views.router import AboutView, InfoView, MinersView, PingView, StatusView
from sessions.faces.rest.views.sessions import (
    SessionsView,
    SessionView,
    TaskCancelView,
    TasksView,
    TaskView,
)
from sessions.faces.rest.views.streams import task_stream

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
    path("", include(access_urls)),
    re_path("", not_found),
]
