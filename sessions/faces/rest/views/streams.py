"""`GET /tasks/{sessionId}/{taskId}/stream`: a task's answer as it is made, from any point on."""

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from sessions.faces.common.answering import wait_s
from sessions.faces.common.followed_task import find_task, require_stream
from sessions.faces.common.problems import problem_response, require_method
from sessions.faces.common.sse import EventStream, answer_events
from sessions.models import Task
from sessions.streams.answer import AnswerPosition

LAST_EVENT_ID = "Last-Event-ID"


@csrf_exempt
async def task_stream(request: HttpRequest, session_id: int, task_id: int) -> HttpResponseBase:
    """Follow a task that any router process took; `Last-Event-ID` says what the client has."""
    try:
        require_method(request, "GET")
        authorization = request.headers.get("Authorization", "")
        task = await sync_to_async(find_task)(authorization, session_id, task_id)
        after = AnswerPosition.parse(request.headers.get(LAST_EVENT_ID, ""))
        if after.is_end:
            # Nothing follows: a browser's EventSource asks again until it is told so.
            return HttpResponse(status=204)
        await require_stream(task)
    except Exception as error:
        return problem_response(error)
    return event_stream(task, after)


def event_stream(task: Task, after: AnswerPosition | None = None) -> EventStream:
    """A task's answer as the body of a response."""
    return EventStream(answer_events(task, wait_s(task), after=after))
