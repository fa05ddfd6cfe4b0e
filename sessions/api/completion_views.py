"""`POST /completions`: a prompt goes in, the answer comes out, at once or as it is made."""

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from sessions import intake, streams
from sessions.access import orders, rates
from sessions.access.callers import Caller
from sessions.access.errors import CredentialsRefused
from sessions.access.visibility import find_session
from sessions.api import leaving
from sessions.api.authentication import identify
from sessions.api.completion_body import CompletionBody, read_completion
from sessions.api.errors import problem_response, require_method
from sessions.api.idempotency import idempotency_key
from sessions.api.limits import max_tokens_header
from sessions.api.request_id import request_id
from sessions.api.sse import answer_events, header, usage
from sessions.errors import RelayError, TaskFailed
from sessions.logprobs import TokenLogprob
from sessions.models import Scope, Task
from sessions.verdicts import wait_for_results

GRACE_S = 5.0
SHORTEST_WAIT_S = 2.0
RESUMED_WITHIN_S = 5.0
"""How long a client whose connection broke has to follow its task again, before that ends."""


@csrf_exempt
async def completions(request: HttpRequest, session_id: int | None = None) -> HttpResponseBase:
    """Take the task in a thread of its own, then wait for it without one."""
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
    """What ends when the client leaves; one that has named its request may ask again."""
    body, task = taken
    return [] if body.request.idempotency_key else [task]


def wait_s(task: Task) -> float:
    """How long an answer is worth waiting for: a timeout in the queue, and one at the miners."""
    age_s = (timezone.now() - task.created_at).total_seconds()
    return max(SHORTEST_WAIT_S, 2 * task.timeout_s + GRACE_S - age_s)


def _take(request: HttpRequest, session_id: int | None) -> tuple[CompletionBody, Task]:
    try:
        order = orders.read_headers(request.headers)
        # A signature over the body can only be judged once the body is read.
        caller = identify(request) if order is None else None
        body = read_completion(request.body, session_id, key=idempotency_key(request.headers))
        if caller is None:
            caller = _orderer(order, request, body)
        if body.stream:
            rates.admit_stream(caller)
        task = intake.accept(
            body.request,
            session=find_session(body.session_id, caller, Scope.SUBMIT),
            api_key=caller.key,
            request_id=request_id(request),
            account=caller.address,
        )
    finally:
        # The answer may take minutes, and the pool has few connections.
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


async def results_of(task: Task) -> list[streams.Result]:
    """A task's answer, best first: judged where several miners are compared (if a verdict is to
    be had), else as it came.

    Raises:
        RelayError: none will come, or not in time.
    """
    if task.redundancy > 1:
        results = list(
            await wait_for_results(task.session_id, task.task_id, wait_s(task), task.timeout_s)
        )
        if not results:
            raise TaskFailed(
                "no miner's result counts; what was reserved returns to the session",
                remedy="send the prompt again",
            )
        return results
    pieces: list[str] = []
    told: list[TokenLogprob] = []
    async for event in streams.follow_answer(task.session_id, task.task_id, wait_s(task)):
        match event:
            case streams.Text(text, logprobs=logprobs):
                pieces.append(text)
                told += logprobs
            case streams.Done(miner, finish_reason, prompt_tokens, completion_tokens):
                text, counts = "".join(pieces), (prompt_tokens, completion_tokens)
                return [
                    streams.Result(
                        miner, text, finish_reason, *counts, tuple(told), is_judged=False
                    )
                ]
    raise TaskFailed("the task ended without a result")


def judged_header(results: list[streams.Result]) -> dict[str, str]:
    """Whether a validator has judged what is shown."""
    return {"X-Judged": str(all(result.is_judged for result in results)).lower()}


def completion_object(
    task: Task, results: list[streams.Result], max_miners: int
) -> dict[str, object]:
    """A task's answer as a text completion, with a choice for each result."""
    shown = results[: max_miners or None]
    return header(task) | {
        "choices": [
            {
                "index": index,
                "text": result.text,
                "finish_reason": result.finish_reason,
                "logprobs": None,
                "address": result.address,
            }
            for index, result in enumerate(shown)
        ],
        "usage": usage(shown[0].prompt_tokens, sum(result.completion_tokens for result in shown)),
    }
