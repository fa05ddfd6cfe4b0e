"""The addresses of `/api/v2`.

Its completions have off-chain payloads, which those of `/api/v1` have here as well: a prompt and
its results lie in the content-addressed storage, and the chain has their addresses. Its tasks have
the `status` that clients of the deployed network read, the contract's number.
"""

from django.urls import path, re_path

from sessions.faces.common import converters  # noqa: F401  (registers `number`)
from sessions.faces.common.problems import not_found
from sessions.faces.rest.views.completions import completions
from sessions.faces.rest.views.router import MinersView
from sessions.faces.rest.views.sessions import (
    PublishedTasksView,
    PublishedTaskView,
    SessionsView,
    SessionView,
)
from sessions.faces.rest.views.validation import validate

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
