"""The names of models: a file, a repository, or several models by number."""

import argparse
from pathlib import Path

import pytest

from mining.node.cli.flags import _models
from mining.node.shelf.model_source import ModelSourceError, read_sources, write_sources

SOURCES = {2: "owner/repo:*Q4.gguf", 1: "/models/a,b=c.gguf"}


def test_models_by_number_are_read_as_they_were_written() -> None:
    text = write_sources(SOURCES)
    assert text == "1=/models/a,b=c.gguf,2=owner/repo:*Q4.gguf"
    assert read_sources(text) == SOURCES
    assert read_sources("3=a.gguf, 4=b.gguf") == {3: "a.gguf", 4: "b.gguf"}


@pytest.mark.parametrize("text", ["a.gguf", "x=a.gguf", "1=", "1=a.gguf,1=b.gguf", "1,2"])
def test_what_is_no_such_list_is_refused_by_name(text: str) -> None:
    with pytest.raises(ModelSourceError, match="MODELS: "):
        read_sources(text)


def test_a_node_can_be_told_its_models_with_their_sources(tmp_path: Path) -> None:
    options = argparse.Namespace(models=None, model=None, model_identifier=None, home=tmp_path)
    options.environment = {"MODELS": "2=b.gguf,1=owner/repo"}
    assert [(m.identifier, m.source) for m in _models(options)] == [
        (1, "owner/repo"),
        (2, "b.gguf"),
    ]
