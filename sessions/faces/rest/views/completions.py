"""`POST /completions`: answer a prompt, completely or as a stream."""

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from sessions.access import orders, rates
from sessions.access.callers import Caller
from sessions.access.errors import CredentialsRefused
from sessions.access.visibility import find_session
from sessions.errors import RelayError
from sessions.faces.common import leaving
from sessions.faces.common.answering import completion_object, judged_header, results_of, wait_s
from sessions.faces.common.authentication import identify
from sessions.faces.common.completion_body import CompletionBody, read_completion
from sessions.faces.common.idempotency import idempotency_key
from sessions.faces.common.limits import max_tokens_header
from sessions.faces.common.problems import problem_response, require_method
from sessions.faces.common.request_id import request_id
from sessions.faces.common.sse import answer_events
from sessions.intake import acceptance
from sessions.models import Scope, Task

RESUMED_WITHIN_S = 5.0
"""How many seconds a disconnected client has to follow its task again, before the task ends."""


@csrf_exempt
async def completions(request: HttpRequest, session_id: int | None = None) -> HttpResponseBase:
    """Accept the task in a thread, then wait for the answer without one."""
    try:
        require_method(request, "POST")
        body, task = await leaving.taken(sync_to_async(_take)(request, session_id), _awaited)
    except Exception as error:
        return problem_response(error)
    awaited = _awaited((body, task))
    headers = max_tokens_header([body.request], [task])
    if body.stream:
        return leaving.LiveAnswer(
            lambda on_end: answer_events(task, wait_s(task), on_end=on_end),
            awaited,
            resumed_within_s=RESUMED_WITHIN_S,
            headers=headers,
        )
    try:
        async with leaving.waiting_for(awaited):
            results = await results_of(task)
    except Exception as error:
        if isinstance(error, RelayError):
            error.extra |= {"session_id": task.session_id, "task_id": task.task_id}
        return problem_response(error)
    shown = completion_object(task, results, body.request.max_miners)
    return JsonResponse(shown, headers=headers | judged_header(results))


def _awaited(taken: tuple[CompletionBody, Task]) -> list[Task]:
    """Return the tasks to end on disconnect: none if the client can repeat its request."""
    body, task = taken
    return [] if body.request.idempotency_key else [task]


def _take(request: HttpRequest, session_id: int | None) -> tuple[CompletionBody, Task]:
    try:
        order = orders.read_headers(request.headers)
        # A signature covers the body, so it can only be verified after the body is read.
        caller = identify(request) if order is None else None
        body = read_completion(request.body, session_id, key=idempotency_key(request.headers))
        if caller is None:
            caller = _orderer(order, request, body)
        if body.stream:
            rates.admit_stream(caller)
        task = acceptance.accept(
            body.request,
            session=find_session(body.session_id, caller, Scope.SUBMIT),
            api_key=caller.key,
            request_id=request_id(request),
            account=caller.address,
        )
    finally:
        # The answer may take minutes, and the connection pool is small.
        if not connection.in_atomic_block:
            connection.close()
    return body, task


def _orderer(
    order: orders.OrderHeaders | None, request: HttpRequest, body: CompletionBody
) -> Caller:
    assert order is not None
    try:
        caller = orders.verify(
            order,
            body=request.body,
            session_id=body.session_id,
            prompt=body.request.prompt,
            client_reference=body.request.client_reference,
        )
    except CredentialsRefused:
        rates.count_failure()
        raise
    rates.admit_request(caller)
    return caller
