"""Checks before a client follows a task: its permission, and whether the stream still exists."""

from django.db import connection

from sessions.access import rates
from sessions.access.callers import Caller
from sessions.access.visibility import find_session
from sessions.errors import StreamGone, TaskNotFound
from sessions.faces.common.authentication import bearer
from sessions.models import Task, TaskStatus
from sessions.streams.buffer import START
from sessions.streams.reader import current_reader
from sessions.streams.task_stream import task_stream_key


def find_task(authorization: str, session_id: int, task_id: int) -> Task:
    """Return a task that the API key may follow, and release the database connection.

    Raises:
        AuthenticationFailed: the header holds no valid API key.
        RequestError: the session or task does not exist, or the key follows too many streams.
    """
    try:
        key = bearer(authorization)
        find_session(session_id, key)
        rates.admit_stream(Caller.of_key(key), (session_id, task_id))
        task = Task.objects.filter(session_id=session_id, task_id=task_id).first()
    finally:
        # The stream may last minutes, and the connection pool is small.
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
