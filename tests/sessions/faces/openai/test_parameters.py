"""The table of parameters is whole, and the documentation shows it."""

from pathlib import Path

import pytest
from django.conf import settings
from openai.types import embedding_create_params
from openai.types.chat import completion_create_params as chat_params
from openai.types.completion_create_params import CompletionCreateParamsBase

from sessions.faces.openai.requests.parameters import (
    CHAT,
    EMBEDDINGS,
    TEXT,
    Parameter,
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
    table: tuple[Parameter, ...], sdk: type
) -> None:
    missing = set(sdk.__annotations__) - {parameter.name for parameter in table}
    assert not missing


@pytest.mark.parametrize("table", [CHAT, TEXT, EMBEDDINGS])
def test_a_table_names_each_parameter_once_and_says_why_it_refuses(
    table: tuple[Parameter, ...],
) -> None:
    names = [parameter.name for parameter in table]
    assert len(names) == len(set(names))
    refused = [p for p in table if p.treatment is Treatment.REFUSED]
    assert all(parameter.note for parameter in refused)


@pytest.mark.parametrize("table", [CHAT, TEXT, EMBEDDINGS])
def test_the_documentation_shows_the_table(table: tuple[Parameter, ...]) -> None:
    text = (Path(settings.BASE_DIR) / "docs/openai.md").read_text()
    assert markdown(table) in text
