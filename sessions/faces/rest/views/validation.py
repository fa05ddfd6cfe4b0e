"""`POST /api/v2/validate`: compare a given answer with the network's.

The body has `session_id`, `answer` and one of these members:
- `task_id`: the answer is compared with that task's results that count. This costs nothing.
- `prompt`, with any other member of a completion request: the network answers the prompt first, as
  a task of the session that is paid like any other.
"""

from dataclasses import asdict, dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import serializers

from sessions import embedding_thread, ports
from sessions.access.visibility import find_session
from sessions.errors import NothingToCompare, RelayError, TaskNotFound
from sessions.faces.common.answering import results_of
from sessions.faces.common.authentication import bearer
from sessions.faces.common.completion_body import json_object, read_completion
from sessions.faces.common.fields import Text, session_number, task_number
from sessions.faces.common.idempotency import idempotency_key
from sessions.faces.common.problems import problem_response, require_method
from sessions.faces.common.request_id import request_id
from sessions.intake import acceptance
from sessions.models import Scope, Task

MAX_ANSWER_CHARACTERS = 1_000_000


class ValidationBody(serializers.Serializer):
    """The validation's own members. Those of a completion request are parsed separately."""

    session_id = session_number()
    task_id = task_number(required=False)
    answer = Text(max_length=MAX_ANSWER_CHARACTERS, allow_blank=True)


@dataclass(frozen=True)
class Reference:
    """A miner's result that counts."""

    address: str
    text: str


@csrf_exempt
async def validate(request: HttpRequest) -> HttpResponse:
    """Compare an answer with a task's results. The best match comes first."""
    try:
        require_method(request, "POST")
        answer, task, references = await sync_to_async(_read)(request)
        references = references or await _results(task)
        compared = await embedding_thread.run(_compare, answer, references)
    except Exception as error:
        return problem_response(error)
    best = compared[0]
    return JsonResponse(
        {
            "session_id": task.session_id,
            "task_id": task.task_id,
            "valid": best["accuracy_bps"] > 0,
            "accuracy_bps": best["accuracy_bps"],
            "distance": best["distance"],
            "references": compared,
        }
    )


def _read(request: HttpRequest) -> tuple[str, Task, list[Reference]]:
    """Return the answer, its task, and the results of an existing task."""
    try:
        key = bearer(request.headers.get("Authorization", ""))
        members = json_object(request.body)
        # Treat null like a missing member.
        given = {name: value for name, value in members.items() if value is not None}
        body = ValidationBody(data=given)
        body.is_valid(raise_exception=True)
        values = body.validated_data
        session = find_session(values["session_id"], key, Scope.SUBMIT)
        if "task_id" in values:
            task = Task.objects.filter(
                session_id=session.session_id, task_id=values["task_id"]
            ).first()
            if task is None:
                raise TaskNotFound(
                    f"session {session.session_id} has no task {values['task_id']}",
                    field="task_id",
                    remedy="send a task_id of GET /api/v1/tasks/{sessionId}, or a prompt",
                )
            return values["answer"], task, _counted(task)
        key_of_request = idempotency_key(request.headers)
        asked = read_completion(request.body, session.session_id, key=key_of_request).request
        task = acceptance.accept(
            asked, session=session, api_key=key, request_id=request_id(request)
        )
        return values["answer"], task, []
    finally:
        # The answer may take minutes, and the connection pool is small.
        if not connection.in_atomic_block:
            connection.close()


def _counted(task: Task) -> list[Reference]:
    references = [
        Reference(record["address"], record["text"])
        for record in ports.task_records(task).miners
        if record["accuracy_bps"] and record["text"] is not None
    ]
    if not references:
        raise NothingToCompare(
            f"task {task.task_id} of session {task.session_id} has no result that counts (yet)",
            field="task_id",
            remedy="wait until the task is validated, or send the prompt in place of its number",
        )
    return references


async def _results(task: Task) -> list[Reference]:
    try:
        return [Reference(result.address, result.text) for result in await results_of(task)]
    except RelayError as error:
        error.extra |= {"session_id": task.session_id, "task_id": task.task_id}
        raise


def _compare(answer: str, references: list[Reference]) -> list[dict[str, Any]]:
    worths = [(ports.judge_answer(answer, r.text), r) for r in references]
    worths.sort(key=lambda pair: (-pair[0].accuracy_bps, pair[0].distance))
    return [{"address": r.address} | asdict(worth) for worth, r in worths]
