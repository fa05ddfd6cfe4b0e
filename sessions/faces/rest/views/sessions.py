"""The sessions that a caller may see, and their tasks. Those of others are answered with 404."""

from collections.abc import Callable
from typing import Any

from redis import RedisError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from sessions.access.visibility import find_session, sessions_of
from sessions.errors import RelayUnavailable, TaskNotFound
from sessions.faces.common.authentication import ScopeNeeded, caller_of
from sessions.faces.common.listing import (
    LARGEST_PAGE,
    Reader,
    filters_of,
    moment,
    number,
    one_of,
    ordering_of,
    page_of,
    whole,
    word,
)
from sessions.faces.rest import representations
from sessions.models import Scope, Task, TaskOrigin, TaskStatus
from sessions.stages import early_end

PAGE = 50
SESSION_FILTERS: dict[str, Reader] = {"name": word, "mode": number, "model_identifier": number}
SESSION_ORDERINGS = ("session_id", "created_at")
TASK_FILTERS: dict[str, Reader] = {
    "status": one_of(TaskStatus.values),
    "origin": one_of(TaskOrigin.values),
    "client_reference": word,
    "created_after": moment,
    "created_before": moment,
}
_LOOKUPS = {"created_after": "created_at__gte", "created_before": "created_at__lt"}

Shown = Callable[[dict[str, Any]], dict[str, Any]]


def _as_it_is(shown: dict[str, Any]) -> dict[str, Any]:
    return shown


class SessionsView(APIView):
    """`GET /sessions`: the active sessions that the caller may see, paged if `limit` is given."""

    permission_classes = (ScopeNeeded,)

    def get(self, request: Request) -> Response:
        rows = sessions_of(caller_of(request)).active()
        rows = rows.filter(**filters_of(request, SESSION_FILTERS))
        rows = rows.order_by(ordering_of(request, SESSION_ORDERINGS, "-session_id"))
        return page_of(request, rows, representations.sessions, "sessions", is_counted=True)


class SessionView(APIView):
    """`GET /sessions/{sessionId}`: one session, active or not."""

    permission_classes = (ScopeNeeded,)

    def get(self, request: Request, session_id: int) -> Response:
        return Response(representations.session(find_session(session_id, caller_of(request))))


class TasksView(APIView):
    """`GET /tasks/{sessionId}?limit=&before=`: a session's tasks, newest first.

    `next` is the value of `before` for the next page, or null. `ordering=created_at` lists the
    oldest tasks first.
    """

    permission_classes = (ScopeNeeded,)
    shown: Shown = staticmethod(_as_it_is)

    def get(self, request: Request, session_id: int) -> Response:
        session = find_session(session_id, caller_of(request))
        query = request.query_params
        limit = min(whole(query.get("limit") or str(PAGE), "limit", least=1), LARGEST_PAGE)
        before = whole(query["before"], "before", least=1) if query.get("before") else None
        oldest_first = ordering_of(request, ("created_at",), "-created_at") == "created_at"
        filters = filters_of(request, TASK_FILTERS)
        rows = Task.objects.of_session(session.session_id).filter(
            **{_LOOKUPS.get(name, name): value for name, value in filters.items()}
        )
        rows = rows.order_by("id" if oldest_first else "-id")
        if before is not None:
            rows = rows.filter(**{"pk__gt" if oldest_first else "pk__lt": before})
        page = list(rows[: limit + 1])
        more = len(page) > limit
        page = page[:limit]
        return Response(
            {
                "tasks": [self.shown(representations.task(row)) for row in page],
                "next": page[-1].pk if more else None,
            }
        )


class TaskView(APIView):
    """`GET /tasks/{sessionId}/{taskId}`: one task with every miner's part in it."""

    permission_classes = (ScopeNeeded,)
    shown: Shown = staticmethod(_as_it_is)

    def get(self, request: Request, session_id: int, task_id: int) -> Response:
        find_session(session_id, caller_of(request))
        return Response(self.shown(representations.task_with_miners(_task(session_id, task_id))))


class PublishedTasksView(TasksView):
    """`GET /api/v2/tasks/{sessionId}`: `status` is the contract's number."""

    shown = staticmethod(representations.published)


class PublishedTaskView(TaskView):
    """`GET /api/v2/tasks/{sessionId}/{taskId}`: `status` is the contract's number."""

    shown = staticmethod(representations.published)


class TaskCancelView(APIView):
    """`POST /tasks/{sessionId}/{taskId}/cancel`: end an answer at its current length.

    `cancelled` is false if there was nothing left to end. The answer so far is judged and paid like
    any other.
    """

    permission_classes = (ScopeNeeded,)

    def post(self, request: Request, session_id: int, task_id: int) -> Response:
        find_session(session_id, caller_of(request), Scope.SUBMIT)
        task = _task(session_id, task_id)
        try:
            cancelled = early_end.shorten(task)
        except RedisError as error:
            raise RelayUnavailable(
                "the length of the answer so far is not known now", remedy="try again"
            ) from error
        numbers = {"session_id": session_id, "task_id": task_id}
        return Response(numbers | {"cancelled": cancelled})


def _task(session_id: int, task_id: int) -> Task:
    task = Task.objects.filter(session_id=session_id, task_id=task_id).first()
    if task is None:
        raise TaskNotFound(f"session {session_id} has no task {task_id} that this router knows")
    return task
