"""The default settings of a model: read from its file, within bounds."""

from dataclasses import replace
from pathlib import Path

import pytest

from chain.protocol.params import LlmParams
from mining.node.config import SHIPPED_MODEL
from mining.node.llm.llama import Model
from mining.node.llm.profiles import MAX_CONTEXT_TOKENS, MAX_OUTPUT_TOKENS, profile_of
from mining.node.llm.prompts import ModelPrompts


class Header(Model):
    """A model that is nothing but its header."""

    def __init__(self, context_tokens: int = 2048, **members: str) -> None:
        self.trained_context_tokens = context_tokens
        self.vocabulary_size = 1_000
        self.chat_template = members.pop("template", "{{ messages }}")
        self._members = members

    def metadata(self, key: str) -> str | None:
        return self._members.get(key.removeprefix("general.").replace(".", "_"))


PLAINEST = LlmParams(512, temperature_x100=0, top_p_x100=100)


def test_a_model_that_says_nothing_is_drawn_in_the_plainest_way() -> None:
    assert profile_of(Header()).params == PLAINEST
    assert profile_of(Header()).context_tokens == 2048


def test_what_a_header_recommends_is_used() -> None:
    header = Header(sampling_temp="0.6", sampling_top_p="0.95", sampling_top_k="20")
    assert profile_of(header).params == replace(
        PLAINEST, temperature_x100=60, top_p_x100=95, top_k=20
    )


@pytest.mark.parametrize("text", ["1e999", "nan", "-5", "many", ""])
def test_nonsense_in_a_header_stays_within_the_interfaces_bounds(text: str) -> None:
    header = Header(sampling_temp=text, sampling_top_p=text, sampling_top_k=text)
    params = profile_of(header).params
    assert params.temperature_x100 in (0, 200)
    assert 1 <= params.top_p_x100 <= 100
    assert 0 <= params.top_k <= header.vocabulary_size
    assert 1 <= params.max_tokens <= MAX_OUTPUT_TOKENS


def test_every_quantisation_of_a_known_model_has_its_profile() -> None:
    names = {"basename": "smollm2", "size_label": "135M"}
    known = profile_of(Header(8192, name="whatever", **names))
    assert known.params.temperature_x100 > 0
    assert known.context_tokens < 8192
    assert profile_of(Header(1024, **names)).context_tokens == 1024
    assert profile_of(Header(8192, template=None, **names)).params == PLAINEST


def test_a_context_without_end_is_not_served() -> None:
    assert profile_of(Header(10**6)).context_tokens == MAX_CONTEXT_TOKENS
    assert profile_of(Header(0)).context_tokens == MAX_CONTEXT_TOKENS


def test_prompts_have_the_models_profile() -> None:
    prompts = ModelPrompts(Model(Path(SHIPPED_MODEL), vocab_only=True))
    assert (prompts.context_tokens, prompts.defaults.temperature_x100) == (512, 0)
