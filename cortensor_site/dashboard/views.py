"""The dashboard's page and the snapshot that it shows. Both are public and hold no secret.

The one exception is a development network, whose operator sets DEMO_API_KEY to have it shown.
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
# Everything the page uses comes from this host, and nothing runs that stands in the page itself.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The page."""
    config = {
        "snapshot_url": reverse("dashboard-snapshot"),
        "socket_url": SOCKET_URL,
        "completions_url": COMPLETIONS_URL,
        "demo_api_key": settings.DEMO_API_KEY,
        "demo_session_id": _demo_session_id(),
    }
    response = render(request, "dashboard/index.html", {"config": config, "examples": EXAMPLES})
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    # It may hold the demonstration's key.
    response["Cache-Control"] = "no-store"
    return response


@require_safe
def snapshot(request: HttpRequest) -> HttpResponse:
    """The network as of now; `session_id` and `task_id` add one task however old it is."""
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
    """Let all queries see one state, so that the sums of money add up while the chain goes on."""
    if connection.in_atomic_block:  # whose isolation was settled by its first query
        yield
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


def _demo_session_id() -> int:
    """The session that the playground starts with; 0 for none."""
    if not settings.DEMO_API_KEY or settings.DEMO_SESSION_ID:
        return int(settings.DEMO_SESSION_ID)
    key = ApiKey.find(settings.DEMO_API_KEY)
    if key is None:
        return 0
    own = Session.objects.active().owned_by(key.owner)
    session = own.filter(model_identifier=min(settings.MODELS)).first() or own.first()
    return session.session_id if session else 0
