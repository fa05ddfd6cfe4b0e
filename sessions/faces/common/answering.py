"""The complete answer of a task, for clients that do not stream, and how long to wait for it."""

from django.utils import timezone

from sessions.errors import TaskFailed
from sessions.faces.common.sse import header, usage
from sessions.logprobs import TokenLogprob
from sessions.models import Task
from sessions.results import TaskResult
from sessions.stages.verdicts import wait_for_results
from sessions.streams import answer_stream
from sessions.streams.answer import AnswerDone, AnswerPiece

GRACE_S = 5.0
SHORTEST_WAIT_S = 2.0


def wait_s(task: Task) -> float:
    """Return how many seconds to wait for an answer.

    A task may spend one timeout in the queue and one at the miners. Its age is subtracted.
    """
    age_s = (timezone.now() - task.created_at).total_seconds()
    return max(SHORTEST_WAIT_S, 2 * task.timeout_s + GRACE_S - age_s)


async def results_of(task: Task) -> list[TaskResult]:
    """Wait for a task's results and return them, best first.

    When several miners answer a task, these are the judged results if a verdict comes in time.
    When one miner does, it is that miner's answer as it was streamed.

    Raises:
        RelayError: no answer will come, or none came in time.
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
    reported: list[TokenLogprob] = []
    async for event in answer_stream.follow_answer(task.session_id, task.task_id, wait_s(task)):
        match event:
            case AnswerPiece(text, logprobs=logprobs):
                pieces.append(text)
                reported += logprobs
            case AnswerDone(miner, finish_reason, prompt_tokens, completion_tokens):
                text, counts = "".join(pieces), (prompt_tokens, completion_tokens)
                return [
                    TaskResult(
                        miner, text, finish_reason, *counts, tuple(reported), is_judged=False
                    )
                ]
    raise TaskFailed("the task ended without a result")


def judged_header(results: list[TaskResult]) -> dict[str, str]:
    """Return a header that says whether a validator has judged all of these results."""
    return {"X-Judged": str(all(result.is_judged for result in results)).lower()}


def completion_object(task: Task, results: list[TaskResult], max_miners: int) -> dict[str, object]:
    """Return a task's answer as a text completion object, with one choice for each result."""
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
