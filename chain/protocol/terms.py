"""The terms of a task, which the contracts pack into one word (TaskTerms.sol). Pure."""

from dataclasses import dataclass

from chain.protocol.digests import LLM_BITS

_INPUT_BITS, _TIMEOUT_BITS = 24, 16


@dataclass(frozen=True)
class Terms:
    """The terms of a task, in the contract's units. `timeout_s` is already within its bounds."""

    prompt_type: int
    timeout_s: int
    max_input_tokens: int
    llm_params: list[int]


def read_terms(word: int) -> Terms:
    """Unpack the word of a `TaskReserved` event."""
    params = []
    for bits in reversed(LLM_BITS):
        params.append(word & (1 << bits) - 1)
        word >>= bits
    max_input_tokens = word & (1 << _INPUT_BITS) - 1
    word >>= _INPUT_BITS
    timeout_s = word & (1 << _TIMEOUT_BITS) - 1
    return Terms(word >> _TIMEOUT_BITS, timeout_s, max_input_tokens, params[::-1])
