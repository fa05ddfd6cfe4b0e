"""`GET /tasks/{sessionId}/{taskId}/stream`: a task's answer as it is made, from any point on."""

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from sessions.access import rates
from sessions.access.callers import Caller
from sessions.access.visibility import find_session
from sessions.api.authentication import bearer
from sessions.api.completion_views import wait_s
from sessions.api.errors import problem_response, require_method
from sessions.api.sse import EventStream, answer_events
from sessions.errors import StreamGone, TaskNotFound
from sessions.models import Task, TaskStatus
from sessions.relay import Position
from sessions.stream_buffer import START
from sessions.stream_reader import current_reader
from sessions.streams import task_stream_key

LAST_EVENT_ID = "Last-Event-ID"


@csrf_exempt
async def task_stream(request: HttpRequest, session_id: int, task_id: int) -> HttpResponseBase:
    """Follow a task that any router process took; `Last-Event-ID` says what the client has."""
    try:
        require_method(request, "GET")
        authorization = request.headers.get("Authorization", "")
        task = await sync_to_async(find_task)(authorization, session_id, task_id)
        after = Position.parse(request.headers.get(LAST_EVENT_ID, ""))
        if after.is_end:
            # Nothing follows: a browser's EventSource asks again until it is told so.
            return HttpResponse(status=204)
        await require_stream(task)
    except Exception as error:
        return problem_response(error)
    return event_stream(task, after)


def event_stream(task: Task, after: Position | None = None) -> EventStream:
    """A task's answer as the body of a response."""
    return EventStream(answer_events(task, wait_s(task), after=after))


def find_task(authorization: str, session_id: int, task_id: int) -> Task:
    """A task that the key may follow; no connection of the database is kept.

    Raises:
        AuthenticationFailed: the header holds no key in force.
        RequestError: there is no such session or task, or the key follows too many streams.
    """
    try:
        key = bearer(authorization)
        find_session(session_id, key)
        rates.admit_stream(Caller.of_key(key), (session_id, task_id))
        task = Task.objects.filter(session_id=session_id, task_id=task_id).first()
    finally:
        # The answer may take minutes, and the pool has few connections.
        if not connection.in_atomic_block:
            connection.close()
    if task is None:
        raise TaskNotFound(f"session {session_id} has no task {task_id} that this router knows")
    return task


async def require_stream(task: Task) -> None:
    """Raise StreamGone for a task that has ended and whose stream is no longer kept."""
    key = task_stream_key(task.session_id, task.task_id)
    if TaskStatus(task.status).is_final and await current_reader().last_id(key) == START:
        raise StreamGone(
            "the task has ended and its stream is no longer kept",
            remedy=f"its results are at /api/v1/tasks/{task.session_id}/{task.task_id}",
        )
