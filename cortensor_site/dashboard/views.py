"""The dashboard's page and its snapshot. Both are public and contain no secrets.

There is one exception: on a development network, an operator can set DEMO_API_KEY, and the page
then shows that key.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from cortensor_site.dashboard.snapshot import TaskRef, take_snapshot
from sessions.models import ApiKey, Session

COMPLETIONS_URL = "/api/v1/completions"
SOCKET_URL = "/ws/network"
EXAMPLES = (
    "What is the capital of Japan?",
    "Why do we sleep?",
    "Write a short poem about autumn.",
)
# The page loads resources from this host only, and inline scripts do not run.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Render the dashboard's page."""
    config = {
        "snapshot_url": reverse("dashboard-snapshot"),
        "socket_url": SOCKET_URL,
        "completions_url": COMPLETIONS_URL,
        "demo_api_key": settings.DEMO_API_KEY,
        "demo_session_id": _demo_session_id(),
    }
    response = render(request, "dashboard/index.html", {"config": config, "examples": EXAMPLES})
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    # The page may contain the demo API key.
    response["Cache-Control"] = "no-store"
    return response


@require_safe
def snapshot(request: HttpRequest) -> HttpResponse:
    """Return a snapshot. `session_id` and `task_id` add one task to it, whatever its age."""
    try:
        followed = _followed_task(request)
    except ValueError:
        detail = "session_id and task_id are whole numbers: give both, or neither"
        return JsonResponse({"title": "No such task", "status": 400, "detail": detail}, status=400)
    with _one_moment():
        taken = take_snapshot(followed)
    response = JsonResponse(taken.to_json())
    response["Cache-Control"] = "no-store"
    return response


def _followed_task(request: HttpRequest) -> TaskRef | None:
    if not {"session_id", "task_id"} & request.GET.keys():
        return None
    return TaskRef(
        session_id=int(request.GET.get("session_id", "")),
        task_id=int(request.GET.get("task_id", "")),
    )


@contextmanager
def _one_moment() -> Iterator[None]:
    """Run all queries on one state of the database, so that sums of money are consistent."""
    if connection.in_atomic_block:  # the isolation level cannot change after the first query
        yield
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


def _demo_session_id() -> int:
    """Return the session that the playground starts with, or 0 for none."""
    if not settings.DEMO_API_KEY or settings.DEMO_SESSION_ID:
        return int(settings.DEMO_SESSION_ID)
    key = ApiKey.find(settings.DEMO_API_KEY)
    if key is None:
        return 0
    own = Session.objects.active().owned_by(key.owner)
    session = own.filter(model_identifier=min(settings.MODELS)).first() or own.first()
    return session.session_id if session else 0
