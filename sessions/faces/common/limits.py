"""The header `X-Max-Tokens`: the tasks' token limits, when lower than the client asked for."""

from collections.abc import Sequence

from chain.protocol.params import LlmParams
from sessions.intake.request import CompletionRequest
from sessions.models import Task

HEADER = "X-Max-Tokens"


def max_tokens_header(
    requests: Sequence[CompletionRequest], tasks: Sequence[Task]
) -> dict[str, str]:
    """Return the header with each task's limit, or nothing if no limit is below the request's."""
    pairs = zip(requests, tasks, strict=True)
    if all((request.params.max_tokens or 0) <= task.max_tokens for request, task in pairs):
        return {}
    return {HEADER: ", ".join(str(task.max_tokens) for task in tasks)}


def generation_defaults(params: LlmParams) -> dict[str, int | float]:
    """Return a model's default sampling parameters, with the names and units of requests."""
    return {
        "max_tokens": params.max_tokens,
        "temperature": params.temperature_x100 / 100,
        "top_p": params.top_p_x100 / 100,
        "top_k": params.top_k,
        "presence_penalty": params.presence_penalty_x100 / 100,
        "frequency_penalty": params.frequency_penalty_x100 / 100,
    }
