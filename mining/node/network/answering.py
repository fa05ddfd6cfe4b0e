"""The rule by which every node answers the prompt of a network task.

All nodes use the same parameters and the same seed, so that honest nodes agree. If the validator
has to decide, it generates its own answer by the same rule.
"""

from mining.node.engine.generation import GenerationRequest
from mining.node.llm.prompts import CHAT, ModelPrompts
from mining.node.protocol.sampling_params import SamplingParams

MAX_TOKENS = 96
TEMPERATURE = 0.5


def answer_request(
    prompts: ModelPrompts, prompt: str, seed: int, deadline_at: float
) -> GenerationRequest:
    """Return the request that answers a session's prompt.

    Args:
        prompts: tokenises the model's prompts.
        prompt: the session's prompt.
        seed: the session's seed.
        deadline_at: when the generation ends without a result, in Unix seconds.

    Raises:
        PromptError: the model cannot take the prompt.
    """
    tokens = prompts.tokenise(prompt, CHAT)
    room = prompts.context_tokens - len(tokens)
    max_tokens = min(MAX_TOKENS, max(room, 1))
    prompts.require_room(len(tokens), max_tokens)
    return GenerationRequest(
        prompt_tokens=tokens,
        max_tokens=max_tokens,
        sampling=SamplingParams(temperature=TEMPERATURE),
        seed=seed.to_bytes(32, "big"),
        deadline_at=deadline_at,
    )


def completion_of(text: str) -> str:
    """Return an answer as it is committed, without NUL, which databases refuse. May be empty."""
    return text.replace("\x00", "").strip()
