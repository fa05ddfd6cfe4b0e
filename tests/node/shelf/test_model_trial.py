"""A model file is tried once, isolated from the node, and its failure has a name."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from mining.node.shelf import model_trial
from mining.node.shelf.model_trial import ModelUnfit, require_sound


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of all trials."""
    commands: list[list[str]] = []
    run = subprocess.run

    def counted(command: list[str], **given: Any) -> "subprocess.CompletedProcess[str]":
        commands.append(command)
        return run(command, **given)  # type: ignore[no-any-return]

    monkeypatch.setattr(subprocess, "run", counted)
    return commands


def test_a_sound_file_is_tried_once_until_it_changes(
    model_path: Path, tmp_path: Path, tried: list[list[str]]
) -> None:
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(model_path.read_bytes())
    for _ in range(2):
        require_sound(copy, tmp_path / "tried")
    assert len(tried) == 1
    copy.write_bytes(b"GGUF")
    with pytest.raises(ModelUnfit, match="cannot read"):
        require_sound(copy, tmp_path / "tried")
    assert len(tried) == 2


def test_a_file_is_tried_anew_on_another_processor_and_with_another_build(
    model_path: Path, tmp_path: Path, tried: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    require_sound(model_path, tmp_path / "tried")
    monkeypatch.setattr(model_trial, "_processor", lambda: "flags: fpu")
    require_sound(model_path, tmp_path / "tried")
    monkeypatch.setattr(model_trial, "_library", lambda: ("0.0.1", 0))
    require_sound(model_path, tmp_path / "tried")
    assert len(tried) == 3


def test_a_file_that_ends_its_process_ends_that_one_only(
    model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(command: list[str], **given: Any) -> "subprocess.CompletedProcess[str]":
        return run(["sh", "-c", "kill -ABRT $$"], **given)  # type: ignore[no-any-return]

    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", dies)
    with pytest.raises(ModelUnfit, match="SIGABRT"):
        require_sound(model_path)


def test_a_file_that_takes_for_ever_is_given_up(
    model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_trial, "TIME_S", 0.01)
    with pytest.raises(ModelUnfit, match="no token"):
        require_sound(model_path)
