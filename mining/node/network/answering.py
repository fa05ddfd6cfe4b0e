"""How every node answers a network task's prompt: one rule, one seed, so that honest ones agree.

The validator's own run, where that has to decide, is made by the same rule.
"""

from mining.node.engine.generation import GenerationRequest
from mining.node.llm.prompts import CHAT, ModelPrompts
from mining.node.protocol.sampling_params import SamplingParams

MAX_TOKENS = 96
TEMPERATURE = 0.5


def answer_request(
    prompts: ModelPrompts, prompt: str, seed: int, deadline_at: float
) -> GenerationRequest:
    """What to generate for a session's prompt; raises PromptError when the model cannot."""
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
    """An answer as it is committed: text that chain and database take; may be empty."""
    return text.replace("\x00", "").strip()
