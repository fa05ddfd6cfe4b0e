"""How a task wants its tokens drawn, as the wire says it and the engine does it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class SamplingParams:
    """How a task wants its tokens drawn, in natural units.

    `top_k` 0, `top_p` 0 (or 1 and more) and `min_p` 0 filter nothing; `temperature` 0 is argmax.
    Penalties are subtracted from the logits of tokens that the answer already has: `presence` once,
    `frequency` once an occurrence. `logit_bias` is added to the logits of single tokens.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    min_p: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
