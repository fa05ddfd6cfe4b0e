"""The wait for judged results. Without a timely verdict, the unjudged answer is returned.

A verdict fails to come when the validator, the sender or the chain is down. The answer is then
returned once all miners have revealed their results, or once their time to do so is over. From then
on no miner can copy it.
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
"""Seconds to wait for a verdict and its transaction before an answer is returned unjudged."""


async def wait_for_results(
    session_id: int, task_id: int, deadline_s: float, timeout_s: float = math.inf
) -> tuple[TaskResult, ...]:
    """Return the results that count, best first.

    If a verdict takes too long, return the live miner's answer with `is_judged=False`.

    Args:
        timeout_s: the task's timeout, within which its miners have to answer.

    Raises:
        RelayError: no result will come, or none came in time.
    """
    live_answer = _LiveAnswer(timeout_s)
    batches = answer_stream.follow_batches(session_id, task_id, deadline_s, left_s=live_answer.take)
    try:
        async with aclosing(batches):
            async for events in batches:
                for event in events:
                    if isinstance(event, ResultsCounted):
                        return event.results
    except DeadlinePassed:
        answer = live_answer.answer()
        if answer is None:
            raise
        return (answer,)
    raise TaskFailed("the task ended without a result")


@dataclass
class _LiveAnswer:
    """The live answer as far as this waiting client has read it."""

    timeout_s: float
    text: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    done: AnswerDone | None = None

    def take(self, events: Sequence[StreamEvent]) -> float:
        """Read events, and return for how many more seconds to wait for a verdict."""
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
        """Return the live miner's answer, or None if it is incomplete."""
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
