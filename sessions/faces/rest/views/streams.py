"""`GET /tasks/{sessionId}/{taskId}/stream`: follow a task's live answer from any position."""

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
    """Follow a task, which may run at any router process, from after `Last-Event-ID`."""
    try:
        require_method(request, "GET")
        authorization = request.headers.get("Authorization", "")
        task = await sync_to_async(find_task)(authorization, session_id, task_id)
        after = AnswerPosition.parse(request.headers.get(LAST_EVENT_ID, ""))
        if after.is_end:
            # A 204 stops a browser's EventSource, which would otherwise reconnect for ever.
            return HttpResponse(status=204)
        await require_stream(task)
    except Exception as error:
        return problem_response(error)
    return event_stream(task, after)


def event_stream(task: Task, after: AnswerPosition | None = None) -> EventStream:
    """Return a response that streams a task's answer."""
    return EventStream(answer_events(task, wait_s(task), after=after))
