"""The sampling parameters of a task, which jobs carry and the engine applies. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class SamplingParams:
    """The sampling parameters of a task, in natural units.

    Args:
        temperature: the divisor of the logits. At 0 the token with the largest logit is drawn.
        top_p: the share of probability that is kept. 0, and 1 or more, keep every token.
        top_k: how many tokens are kept. 0 keeps every token.
        presence_penalty: subtracted once from the logit of each token that the answer has.
        frequency_penalty: subtracted from the logit of a token for each of its occurrences in
            the answer.
        min_p: the probability that a token needs, relative to the likeliest one. 0 keeps every
            token.
        logit_bias: what is added to the logit of each listed token, by token id.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    min_p: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)


class OnChainSampling(Protocol):
    """What the chain says of a task's draws, and with it a router's row and a node's job."""

    @property
    def temperature_x100(self) -> int: ...
    @property
    def top_p_x100(self) -> int: ...
    @property
    def top_k(self) -> int: ...
    @property
    def presence_penalty_x100(self) -> int: ...
    @property
    def frequency_penalty_x100(self) -> int: ...


def sampling_of(
    task: OnChainSampling, *, min_p: float, logit_bias: Mapping[int, float]
) -> SamplingParams:
    """How a task wants its tokens drawn. The miners and the validator draw by this alone.

    Args:
        min_p: like `logit_bias`, an option that lies beside the prompt.
    """
    return SamplingParams(
        temperature=task.temperature_x100 / 100,
        top_p=task.top_p_x100 / 100,
        top_k=task.top_k,
        presence_penalty=task.presence_penalty_x100 / 100,
        frequency_penalty=task.frequency_penalty_x100 / 100,
        min_p=min_p,
        logit_bias=logit_bias,
    )
