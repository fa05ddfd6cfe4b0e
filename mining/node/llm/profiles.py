"""A model's defaults: sampling parameters, the length of answers, and the size of the context.

The router, the miners and the validator derive them from the model's file, so that they agree. Some
models have a profile in this module, which is found by the name in the file's header. So every
quantisation of a model has the same profile. Any other model gets the parameters that its header
recommends (`general.sampling.*`), or else greedy sampling.
"""

import math
from dataclasses import dataclass

from chain.protocol.params import LlmParams
from mining.node.llm.llama import Model

MAX_CONTEXT_TOKENS = 8192
"""The largest context that is served. Every slot needs memory for a whole context."""
MAX_OUTPUT_TOKENS = 1024
"""The largest `max_tokens` that any model has by default."""
_UNKNOWN_OUTPUT_TOKENS = 512


@dataclass(frozen=True)
class Profile:
    """How a model is served.

    Args:
        context_tokens: the most tokens that a prompt and its answer may have together.
        params: the parameters of a task whose client names none.
    """

    context_tokens: int
    params: LlmParams


_SMOLLM2_135M = Profile(
    # The model was trained with 8,192 tokens. The cache takes 23 KB per token and slot.
    context_tokens=4096,
    # At temperature 0 the answers to 11 of 30 everyday questions end in loops, with these
    # parameters the answer to one (docs/models.md).
    params=LlmParams(
        max_tokens=256,
        temperature_x100=30,
        top_p_x100=90,
        top_k=40,
        frequency_penalty_x100=30,
    ),
)
_CORTENSOR_MINI = Profile(
    context_tokens=512, params=LlmParams(max_tokens=256, temperature_x100=0, top_p_x100=100)
)


def profile_of(model: Model) -> Profile:
    """Return a model's profile. The model may be loaded without its weights."""
    trained = min(model.trained_context_tokens or MAX_CONTEXT_TOKENS, MAX_CONTEXT_TOKENS)
    known = _known(model)
    if known is None:
        return Profile(trained, _recommended(model))
    return Profile(min(trained, known.context_tokens), known.params)


def _known(model: Model) -> Profile | None:
    name, basename, size = (
        (model.metadata(f"general.{key}") or "").lower()
        for key in ("name", "basename", "size_label")
    )
    if (basename, size) == ("smollm2", "135m") and model.chat_template is not None:
        return _SMOLLM2_135M
    return _CORTENSOR_MINI if name in ("cortensor mini", "cortensor micro") else None


def _recommended(model: Model) -> LlmParams:
    """Return the parameters that a model's header recommends.

    The header is not trusted, so the values are limited to what clients may ask for.
    """
    return LlmParams(
        max_tokens=_UNKNOWN_OUTPUT_TOKENS,
        temperature_x100=round(100 * _number(model, "temp", 0.0, least=0.0, most=2.0)),
        top_p_x100=round(100 * _number(model, "top_p", 1.0, least=0.01, most=1.0)),
        top_k=int(_number(model, "top_k", 0, least=0, most=model.vocabulary_size)),
    )


def _number(model: Model, name: str, default: float, *, least: float, most: float) -> float:
    try:
        value = float(model.metadata(f"general.sampling.{name}") or default)
    except ValueError:
        return default
    return min(max(value, least), most) if math.isfinite(value) else default
