"""A task's parameters are converted to the chain's integers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.protocol.params import AskedParams, InvalidParams, LlmParams, RequestParams


@given(st.lists(st.integers(1, 2**32 - 1), min_size=1, max_size=9))
def test_parameters_read_short_and_long_lists(words: list[int]) -> None:
    padded = (words + [0] * 6)[:6]
    assert LlmParams.from_words(words).to_words() == padded


def test_a_task_without_a_number_of_tokens_is_refused() -> None:
    for words in ([], [0, 100]):
        with pytest.raises(InvalidParams, match="maxTokens"):
            LlmParams.from_words(words)


@given(st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=9))
def test_what_a_list_leaves_out_is_the_models_and_what_it_says_stays(words: list[int]) -> None:
    words[0] += 1
    defaults = LlmParams(11, 12, 13, 14, 15, 16)
    expected = words[:6] + defaults.to_words()[len(words) :]
    assert AskedParams.from_words(words).filled(defaults).to_words() == expected


@pytest.mark.parametrize(("words", "timeout_s"), [([], 60), ([0], 60), ([1], 5), ([9999], 3600)])
def test_a_timeout_has_the_contracts_bounds(words: list[int], timeout_s: int) -> None:
    assert RequestParams.from_words(words) == RequestParams(timeout_s)
