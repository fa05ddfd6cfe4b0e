"""The results of a task, as clients receive them."""

from dataclasses import dataclass

from sessions.logprobs import TokenLogprob


@dataclass(frozen=True)
class TaskResult:
    """A miner's result that counts."""

    address: str
    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    logprobs: tuple[TokenLogprob, ...] = ()
    """One per token of the text, if the task asks for log-probabilities."""
    is_judged: bool = True
    """False if there is no verdict yet, and the result is the miner's own statement."""
