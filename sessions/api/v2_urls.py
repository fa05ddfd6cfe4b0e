"""The addresses of `/api/v2`.

Its completions have off-chain payloads, which those of `/api/v1` have here as well: a prompt and
its results lie in the content-addressed storage, and the chain has their addresses. Its tasks have
the `status` that clients of the deployed network read, the contract's number.
"""

from django.urls import path, re_path

from sessions.api import urls  # noqa: F401  (it registers <number:…>)
from sessions.api.completion_views import completions
from sessions.api.errors import not_found
from sessions.api.router_views import MinersView
from sessions.api.session_views import (
    PublishedTasksView,
    PublishedTaskView,
    SessionsView,
    SessionView,
)
from sessions.api.validation_views import validate

urlpatterns = [
    path("completions", completions),
    path("completions/<number:session_id>", completions),
    path("validate", validate),
    path("miners", MinersView.as_view()),
    path("sessions", SessionsView.as_view()),
    path("sessions/<number:session_id>", SessionView.as_view()),
    path("tasks/<number:session_id>", PublishedTasksView.as_view()),
    path("tasks/<number:session_id>/<number:task_id>", PublishedTaskView.as_view()),
    re_path("", not_found),
]
