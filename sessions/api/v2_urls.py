"""The addresses of `/api/v2`.

Its completions have off-chain payloads, which those of `/api/v1` have here as well: a prompt and
its results lie in the content-addressed storage, and the chain has their addresses.
"""

from django.urls import path, re_path

from sessions.api import urls  # noqa: F401  (it registers <number:…>)
from sessions.api.completion_views import completions
from sessions.api.errors import not_found
from sessions.api.validation_views import validate

urlpatterns = [
    path("completions", completions),
    path("completions/<number:session_id>", completions),
    path("validate", validate),
    re_path("", not_found),
]
