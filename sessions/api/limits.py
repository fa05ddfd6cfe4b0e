"""`X-Max-Tokens`: how long an answer may be, where that is less than its client asked for."""

from collections.abc import Sequence

from sessions.completion import CompletionRequest
from sessions.models import Task

HEADER = "X-Max-Tokens"


def max_tokens_header(
    requests: Sequence[CompletionRequest], tasks: Sequence[Task]
) -> dict[str, str]:
    """The header of an answer, with a number a task; none where each has what was asked for."""
    pairs = zip(requests, tasks, strict=True)
    if all((request.params.max_tokens or 0) <= task.max_tokens for request, task in pairs):
        return {}
    return {HEADER: ", ".join(str(task.max_tokens) for task in tasks)}
