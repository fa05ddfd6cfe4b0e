"""What a model does where nobody says: how it draws, how long it answers, how much it holds.

Router, miners and validator read it of the model's file, so that they agree. A model that was
tried here has a profile of its own, by the name in its header: every quantisation of it has the
same. Any other has what its header recommends (`general.sampling.*`), or the plainest draw.
"""

import math
from dataclasses import dataclass

from chain.protocol.params import LlmParams
from mining.node.llm.llama import Model

MAX_CONTEXT_TOKENS = 8192
"""More than this is not served, however far a model was trained: every slot pays for it."""
MAX_OUTPUT_TOKENS = 1024
"""No model's own limit is more."""
_UNKNOWN_OUTPUT_TOKENS = 512


@dataclass(frozen=True)
class Profile:
    """How a model is served.

    Args:
        context_tokens: what prompt and answer have together, at most.
        params: what a client gets that names none of its own.
    """

    context_tokens: int
    params: LlmParams


_SMOLLM2_135M = Profile(
    # Trained for 8,192, at 23 KB of cache for each, in each slot of each miner.
    context_tokens=4096,
    # Of 30 everyday questions it answers 11 in circles at temperature 0, and one with these
    # (docs/models.md).
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
    """A model's profile; its vocabulary is enough."""
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
    """What a model's header says, which a stranger wrote: within the bounds of the interfaces."""
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
