"""The URL patterns of `/api/v2`.

In version 2, completions have off-chain payloads. In this router those of version 1 have them too:
prompts and results are in content-addressed storage, and the chain has their addresses. The tasks
of version 2 have the `status` that clients of the deployed network expect, the contract's number.
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
