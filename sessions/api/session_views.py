"""The sessions that a client sees, and their tasks. What belongs to others does not exist here."""

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from sessions.access.visibility import find_session, sessions_of
from sessions.api import representations
from sessions.api.authentication import ScopeNeeded, caller_of
from sessions.errors import TaskNotFound
from sessions.models import Task

PAGE, LARGEST_PAGE = 50, 200


class SessionsView(APIView):
    """`GET /sessions`: the active sessions that the caller sees."""

    permission_classes = (ScopeNeeded,)

    def get(self, request: Request) -> Response:
        rows = sessions_of(caller_of(request)).active()
        return Response({"sessions": [representations.session(row) for row in rows]})


class SessionView(APIView):
    """`GET /sessions/{sessionId}`: one session, active or not."""

    permission_classes = (ScopeNeeded,)

    def get(self, request: Request, session_id: int) -> Response:
        return Response(representations.session(find_session(session_id, caller_of(request))))


class TasksView(APIView):
    """`GET /tasks/{sessionId}?limit=&before=`: a session's tasks, the newest first.

    `next` is the `before` of the next page, or null.
    """

    permission_classes = (ScopeNeeded,)

    def get(self, request: Request, session_id: int) -> Response:
        session = find_session(session_id, caller_of(request))
        limit = min(_whole(request, "limit", PAGE), LARGEST_PAGE)
        rows = Task.objects.of_session(session.session_id).order_by("-id")
        before = _whole(request, "before", 0)
        if before:
            rows = rows.filter(pk__lt=before)
        page = list(rows[: limit + 1])
        more = len(page) > limit
        page = page[:limit]
        return Response(
            {
                "tasks": [representations.task(row) for row in page],
                "next": page[-1].pk if more else None,
            }
        )


class TaskView(APIView):
    """`GET /tasks/{sessionId}/{taskId}`: one task with every miner's part in it."""

    permission_classes = (ScopeNeeded,)

    def get(self, request: Request, session_id: int, task_id: int) -> Response:
        find_session(session_id, caller_of(request))
        task = Task.objects.filter(session_id=session_id, task_id=task_id).first()
        if task is None:
            raise TaskNotFound(f"session {session_id} has no task {task_id} that this router knows")
        return Response(representations.task_with_miners(task))


def _whole(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and int(text[:19]) > 0 and len(text) < 19):
        raise ValidationError({name: "must be a positive whole number"})
    return int(text)
