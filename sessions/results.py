"""What a client gets of a task: the results that count."""

from dataclasses import dataclass

from sessions.logprobs import TokenLogprob


@dataclass(frozen=True)
class TaskResult:
    """A result that counts, of one miner."""

    address: str
    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    logprobs: tuple[TokenLogprob, ...] = ()
    """One a token of the text, where the task asks for them."""
    is_judged: bool = True
    """False where the verdict is still to come: it is what a miner says."""
