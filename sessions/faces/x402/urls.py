"""The URL patterns of payment per call, below `/api/v1/x402/`."""

from django.urls import path

from sessions.faces.common import converters  # noqa: F401  (registers `number`)
from sessions.faces.x402.views import paid_completions

urlpatterns = [
    path("completions", paid_completions),
    path("completions/<number:session_id>", paid_completions),
]
