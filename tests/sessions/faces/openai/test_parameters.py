"""The table of parameters is complete, and the documentation shows it."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from openai.types import embedding_create_params
from openai.types.chat import completion_create_params as chat_params
from openai.types.completion_create_params import CompletionCreateParamsBase
from rest_framework.serializers import Serializer

from sessions.faces.common.completion_body import read_completion
from sessions.faces.openai.embedding_views import EmbeddingsBody
from sessions.faces.openai.requests.bodies import ChatBody, TextBody, read_chat, read_text
from sessions.faces.openai.requests.parameters import (
    CHAT,
    EMBEDDINGS,
    TEXT,
    OpenAIParameter,
    Treatment,
    markdown,
)

STREAM = {"stream"}
BASES = [
    (CHAT, chat_params.CompletionCreateParamsBase),
    (TEXT, CompletionCreateParamsBase),
    (EMBEDDINGS, embedding_create_params.EmbeddingCreateParams),
]


@pytest.mark.parametrize(("table", "sdk"), BASES)
def test_every_parameter_of_the_openai_package_is_in_the_table(
    table: tuple[OpenAIParameter, ...], sdk: type
) -> None:
    missing = set(sdk.__annotations__) - {parameter.name for parameter in table}
    assert not missing


@pytest.mark.parametrize("table", [CHAT, TEXT, EMBEDDINGS])
def test_a_table_names_each_parameter_once_and_says_why_it_refuses(
    table: tuple[OpenAIParameter, ...],
) -> None:
    names = [parameter.name for parameter in table]
    assert len(names) == len(set(names))
    refused = [p for p in table if p.treatment is Treatment.REFUSED]
    assert all(parameter.note for parameter in refused)


@pytest.mark.parametrize("table", [CHAT, TEXT, EMBEDDINGS])
def test_the_documentation_shows_the_table(table: tuple[OpenAIParameter, ...]) -> None:
    text = (Path(settings.BASE_DIR) / "docs/openai.md").read_text()
    assert markdown(table) in text


@pytest.mark.parametrize(
    ("table", "body"), [(CHAT, ChatBody), (TEXT, TextBody), (EMBEDDINGS, EmbeddingsBody)]
)
def test_the_serializer_of_a_body_reads_all_that_is_honoured_and_nothing_else(
    table: tuple[OpenAIParameter, ...], body: type[Serializer[Any]]
) -> None:
    honoured = {each.name for each in table if each.treatment is Treatment.HONOURED}
    assert set(body().fields) == honoured


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"max_tokens": 8, "timeout": 1, "stop": ["a"]},
        {"temperature": 0.705, "top_p": 0.01, "top_k": 7, "timeout": 2**31 - 1},
        {"presence_penalty": 2, "frequency_penalty": 0, "stop": ["a", "b"], "timeout": 90.0},
    ],
)
def test_every_face_reads_the_members_that_it_shares_alike(asked: dict[str, Any]) -> None:
    def said(members: dict[str, Any]) -> bytes:
        return json.dumps({"max_tokens": 16, "model": "m"} | members | asked).encode()

    rest = read_completion(said({"prompt": "p"}), 1).request
    [chat] = read_chat(said({"messages": [{"role": "user", "content": "p"}]}), "").requests
    [text] = read_text(said({"prompt": "p"}), "").requests
    for other in (chat, text):
        assert (other.params, other.timeout_s, other.stop) == (
            rest.params,
            rest.timeout_s,
            rest.stop,
        )
