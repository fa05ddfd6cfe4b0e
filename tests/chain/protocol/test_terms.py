"""A task's terms are unpacked as the contract packs them."""

from hypothesis import given
from hypothesis import strategies as st

from chain.protocol.digests import LLM_BITS
from chain.protocol.terms import Terms, read_terms


@given(
    st.integers(0, 255),
    st.integers(5, 3600),
    st.integers(0, 2**20 - 1),
    st.tuples(*(st.integers(0, 2**bits - 1) for bits in LLM_BITS)),
)
def test_terms_are_read_as_they_were_packed(
    prompt_type: int, timeout_s: int, max_input_tokens: int, llm_params: tuple[int, ...]
) -> None:
    places = [(prompt_type, 8), (timeout_s, 16), (max_input_tokens, 24)]
    places += zip(llm_params, LLM_BITS, strict=True)
    word = int("".join(f"{value:0{bits}b}" for value, bits in places), 2)
    assert read_terms(word) == Terms(prompt_type, timeout_s, max_input_tokens, list(llm_params))
