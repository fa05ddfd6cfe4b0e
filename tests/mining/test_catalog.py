"""The models that the router knows."""

import pytest

from chain.protocol.params import PromptType
from mining import catalog
from mining.catalog import prompt_counter
from sessions.ports import PromptUnfit
from tests.node import tiny_model


def test_prompts_are_counted_by_the_models_own_vocabulary(model):
    plain = prompt_counter.count(1, "the", PromptType.CONTINUATION, "")
    assert plain == 2  # "t", "he": what the vocabulary merges
    assert prompt_counter.count(1, "the", 0, "") > plain
    assert prompt_counter.context_length(1) == tiny_model.CONTEXT_TOKENS


def test_a_prompt_that_the_model_cannot_read_is_the_clients_fault(model):
    with pytest.raises(PromptUnfit, match="messages"):
        prompt_counter.count(1, "no conversation", PromptType.CONVERSATION, "")
    with pytest.raises(PromptUnfit, match="empty"):
        prompt_counter.count(1, "", PromptType.CONTINUATION, "")


def test_a_model_that_nobody_serves_is_named(model, settings, tmp_path):
    with pytest.raises(LookupError, match="model 7 is not served here; use 1"):
        prompt_counter.count(7, "x", 1, "")
    settings.MODELS = {1: str(tmp_path / "missing.gguf")}
    catalog.forget()
    with pytest.raises(LookupError, match=r"missing\.gguf"):
        prompt_counter.context_length(1)


def test_a_model_without_a_chat_template_serves_plain_prompts_only(settings, tmp_path):
    path = tiny_model.write(tmp_path / "plain.gguf", chat_template=None)
    settings.MODELS = {1: str(path)}
    catalog.forget()
    try:
        assert prompt_counter.count(1, "the", PromptType.CONTINUATION, "") == 2
        with pytest.raises(LookupError, match="chat template"):
            prompt_counter.count(1, "the", 0, "")
    finally:
        catalog.forget()
