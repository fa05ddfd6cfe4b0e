"""Waiting for results that are judged, though not for ever: an answer that is there is handed out.

Without a verdict (the validator, the sender or the chain is away) that happens once all miners have
revealed theirs, or once the time is over within which they could have: nobody can copy it any more.
"""

import math
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from sessions.errors import DeadlinePassed, TaskFailed
from sessions.logprobs import TokenLogprob
from sessions.models import TaskStatus
from sessions.results import TaskResult
from sessions.streams import answer_stream
from sessions.streams.answer import (
    AnswerDone,
    AnswerPiece,
    ResultsCounted,
    StageReached,
    StreamEvent,
)

VERDICT_WITHIN_S = 30.0
"""What a verdict may take, and the chain before it, until an answer goes out without one."""


async def wait_for_results(
    session_id: int, task_id: int, deadline_s: float, timeout_s: float = math.inf
) -> tuple[TaskResult, ...]:
    """The results that count, best first; not judged (`Result.is_judged`) if that takes too long.

    Args:
        timeout_s: the task's, within which its miners have to answer.

    Raises:
        RelayError: none will come, or not in time.
    """
    seen = _Seen(timeout_s)
    batches = answer_stream.follow_batches(session_id, task_id, deadline_s, left_s=seen.take)
    try:
        async with aclosing(batches):
            async for events in batches:
                for event in events:
                    if isinstance(event, ResultsCounted):
                        return event.results
    except DeadlinePassed:
        answer = seen.answer()
        if answer is None:
            raise
        return (answer,)
    raise TaskFailed("the task ended without a result")


@dataclass
class _Seen:
    """What who waits has seen of the live answer."""

    timeout_s: float
    text: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    done: AnswerDone | None = None

    def take(self, events: Sequence[StreamEvent]) -> float:
        """Take note of events; for how many seconds more a verdict is waited for then."""
        left_s = math.inf
        for event in events:
            match event:
                case AnswerPiece(text, logprobs=logprobs):
                    self.text += text
                    self.logprobs += logprobs
                case AnswerDone():
                    self.done = event
                case StageReached(TaskStatus.ASSIGNED):
                    left_s = min(left_s, self.timeout_s + VERDICT_WITHIN_S)
                case StageReached(TaskStatus.COMMITTED):
                    left_s = min(left_s, VERDICT_WITHIN_S)
        return left_s

    def answer(self) -> TaskResult | None:
        """The live miner's answer, if it is whole."""
        if self.done is None:
            return None
        return TaskResult(
            self.done.miner,
            self.text,
            self.done.finish_reason,
            self.done.prompt_tokens,
            self.done.completion_tokens,
            self.logprobs,
            is_judged=False,
        )
