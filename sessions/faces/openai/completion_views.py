"""`POST /chat/completions` and `POST /completions`."""

import asyncio
from collections.abc import Callable, Sequence

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from sessions import ports
from sessions.access import rates
from sessions.access.callers import Caller
from sessions.faces.common import leaving
from sessions.faces.common.answering import judged_header, results_of
from sessions.faces.common.authentication import bearer
from sessions.faces.common.idempotency import idempotency_key
from sessions.faces.common.limits import max_tokens_header
from sessions.faces.common.request_id import request_id
from sessions.faces.openai.catalogue import PricedModel, find_model
from sessions.faces.openai.errors import OpenAIError, error_response, invalid
from sessions.faces.openai.requests.bodies import Asked, read_chat, read_text, require_reportable
from sessions.faces.openai.requests.payer import paying_session
from sessions.faces.openai.responses.calls import CallShape
from sessions.faces.openai.responses.events import answer_events
from sessions.faces.openai.responses.passed_over import PASSED_OVER, passed_over_header
from sessions.faces.openai.responses.shapes import AnswerShape, ChatShape, TextShape
from sessions.intake import acceptance
from sessions.intake.availability import require_parts
from sessions.intake.request import IDEMPOTENCY_KEY
from sessions.models import Task
from sessions.results import TaskResult

Read = Callable[[bytes, str], Asked]


@csrf_exempt
async def chat_completions(request: HttpRequest) -> HttpResponseBase:
    """Answer a conversation."""
    return await _answer(request, read_chat, ChatShape)


@csrf_exempt
async def completions(request: HttpRequest) -> HttpResponseBase:
    """Continue texts."""
    return await _answer(request, read_text, TextShape)


async def _answer(
    request: HttpRequest, read: Read, shape_of: type[AnswerShape]
) -> HttpResponseBase:
    """Accept the tasks in a thread, then wait for their answers without one."""
    names: dict[str, str] = {}
    # A client that sends an idempotency key can ask for the complete answer again.
    may_end_early = not request.headers.get(IDEMPOTENCY_KEY, "").strip()
    try:
        if request.method != "POST":
            raise OpenAIError(
                f"Send a POST to {request.path}.", code="method_not_allowed", status=405
            )
        asked, tasks = await leaving.taken(
            sync_to_async(_take)(request, read, names),
            lambda found: found[1] if may_end_early else (),
        )
        shape = shape_of(tasks, asked.shown_before, asked.top_logprobs)
        if asked.tools is not None:
            shape = CallShape(tasks, asked.shown_before, asked.top_logprobs, asked.tools)
        if not asked.stream:
            async with leaving.waiting_for(tasks if may_end_early else (), asks_anew=True):
                results = await _best_results(tasks)
            headers = _headers(asked, tasks) | judged_header(results)
            return JsonResponse(shape.whole(results), headers=headers)
    except Exception as error:
        return error_response(error, names)
    return leaving.LiveAnswer(
        lambda on_end: answer_events(
            tasks, shape, include_usage=asked.include_usage, names=asked.names, on_end=on_end
        ),
        tasks if may_end_early else (),
        headers=_headers(asked, tasks),
    )


def _take(request: HttpRequest, read: Read, names: dict[str, str]) -> tuple[Asked, list[Task]]:
    """Read the request and accept all of its tasks, or none. Set `names` for error messages."""
    try:
        key = bearer(request.headers.get("Authorization", ""))
        asked = read(request.body, idempotency_key(request.headers))
        names.update(asked.names)
        if asked.stream:
            rates.admit_stream(Caller.of_key(key))
        model = find_model(asked.model)
        require_reportable(asked, model.context_tokens)
        _require_grammars(asked, model)
        require_parts()  # first, since a router that has just started may not know all sessions
        session = paying_session(request, key, model, asked.session_id)
        tasks = acceptance.accept_all(
            asked.requests, session=session, api_key=key, request_id=request_id(request)
        )
    finally:
        # The answer may take minutes, and the connection pool is small.
        if not connection.in_atomic_block:
            connection.close()
    return asked, tasks


async def _best_results(tasks: Sequence[Task]) -> list[TaskResult]:
    """Return the best result of each task. The first failure cancels waiting for the others."""
    waiting = [asyncio.create_task(results_of(task)) for task in tasks]
    try:
        return [results[0] for results in await asyncio.gather(*waiting)]
    finally:
        for each in waiting:
            each.cancel()


def _require_grammars(asked: Asked, model: PricedModel) -> None:
    """Refuse a grammar that miners could not use."""
    for grammar in {one.options.grammar for one in asked.requests if one.options.grammar}:
        try:
            ports.prompt_counter().require_grammar(model.identifier, grammar.lark)
        except ports.PromptUnfit as error:
            param = "response_format" if asked.tools is None else "tools"
            raise invalid(param, str(error)) from error


def _headers(asked: Asked, tasks: Sequence[Task]) -> dict[str, str]:
    """Return the headers with session, tasks, token limits and unenforced members of a schema.

    They repeat members of the body for clients that show only headers.
    """
    headers = {
        "X-Session-ID": str(tasks[0].session_id),
        "X-Task-ID": ", ".join(str(task.task_id) for task in tasks),
        **max_tokens_header(asked.requests, tasks),
    }
    if asked.passed_over:
        headers[PASSED_OVER] = passed_over_header(asked.passed_over)
    return headers
