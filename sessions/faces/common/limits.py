"""`X-Max-Tokens`: how long an answer may be, where that is less than its client asked for."""

from collections.abc import Sequence

from chain.protocol.params import LlmParams
from sessions.intake.request import CompletionRequest
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


def generation_defaults(params: LlmParams) -> dict[str, int | float]:
    """What a model does where a client does not say, in the names and units of requests."""
    return {
        "max_tokens": params.max_tokens,
        "temperature": params.temperature_x100 / 100,
        "top_p": params.top_p_x100 / 100,
        "top_k": params.top_k,
        "presence_penalty": params.presence_penalty_x100 / 100,
        "frequency_penalty": params.frequency_penalty_x100 / 100,
    }
