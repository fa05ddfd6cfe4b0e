"""The documentation names only what exists, and its commands are known."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
from django.core.management import get_commands

from chain.version import VERSION
from mining.node.cli.parser import main
from tests.documentation import HELD, ROOT, blocks, commands, held, name_of, pages, prose

PAGES = pages()
LANGUAGES = {"sh", "python", "json", "toml", "text"}
_SOURCES = ("chain", "sessions", "mining", "cortensor_site", "tests", "bench", "contracts")
_FOLDERS = "|".join((*_SOURCES, "docs", "examples", "setup"))
_PATH = re.compile(rf"`((?:{_FOLDERS})/[\w./*-]*)`")
_DOTTED = re.compile(rf"`((?:{'|'.join(_SOURCES)})\.\w[\w.]*)(?:\(\))?`")
_MADE = re.compile(r"^(?:\w+=\S+ )*make ([a-z-]+)", re.MULTILINE)
_FILES = (".py", ".md", ".mjs", ".json", ".txt", ".sol", ".sh", ".toml")


@cache
def sources() -> str:
    """All Python of the project."""
    return "\n".join(
        path.read_text() for folder in _SOURCES for path in sorted((ROOT / folder).rglob("*.py"))
    )


def is_there(name: str) -> bool:
    """Whether a dotted name is a module's, a member's, or a name that the sources give."""
    if name.endswith(_FILES) or name in sources():
        return True
    *above, last = name.split(".")
    folder = ROOT.joinpath(*above)
    if (folder / last).is_dir() or (folder / f"{last}.py").is_file():
        return True
    module = folder.with_suffix(".py")
    return module.is_file() and bool(re.search(rf"^(def|class) {last}\b", module.read_text(), re.M))


@cache
def targets() -> set[str]:
    """What `make` makes."""
    found = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return {*found, *(f"bench-{path.stem}" for path in (ROOT / "bench").glob("*.py"))}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_says_its_language(page: Path) -> None:
    assert {language for language, _ in blocks(page)} <= LANGUAGES


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_and_module_that_a_page_names_is_there(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        return  # it tells of what was
    text = prose(page)
    named = [path for path in _PATH.findall(text) if "/_build/" not in path]
    missing = [path for path in named if not any(ROOT.glob(path.rstrip("/")))]
    missing += [name for name in _DOTTED.findall(text) if not is_there(name)]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    shell = "".join(block for language, block in blocks(page) if language == "sh")
    made = {*re.findall(r"`(?:\w+=\S+ )*make ([a-z-]+)", text), *_MADE.findall(shell)}
    assert made - {"bench-"} <= targets()
    assert set(re.findall(r"manage\.py (\w+)", text)) <= set(get_commands())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_of_a_miner_that_a_page_names_is_there(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in set(re.findall(r"python -m mining\.node (\w+)", page.read_text())):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0, command


def test_what_is_not_run_with_its_page_is_in_use_and_names_tests_that_exist() -> None:
    shell = [
        command
        for page in PAGES
        for language, text in blocks(page)
        if language == "sh"
        for command in commands(text)
    ]
    used = {held(command) for command in shell}
    assert [each.pattern for each in HELD if each not in used] == []
    for each in HELD:
        for path in re.findall(r"[\w./-]+/[\w.-]+", each.reason):
            assert (ROOT / path).exists(), path


def test_the_version_stands_in_one_place() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.toml", "*.json", "*.yml", "*.mjs", "Dockerfile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    files = [ROOT / name for name in listed.stdout.split() if name != "package-lock.json"]
    stated = re.compile(rf"(?<![\d.]){re.escape(VERSION)}(?![\d.])")
    assert [
        name_of(path) for path in files if path.is_file() and stated.search(path.read_text())
    ] == ["chain/version.py"]


def test_the_changelog_begins_with_what_is_not_released_and_names_the_version() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert VERSION in (ROOT / "CHANGELOG.md").read_text()


def test_every_decision_is_listed_and_has_its_parts() -> None:
    folder = ROOT / "docs/decisions"
    listed = (folder / "README.md").read_text()
    for number, page in enumerate(sorted(folder.glob("0*.md")), start=1):
        text = page.read_text()
        title = text.splitlines()[0].removeprefix(f"# {number}. ")
        assert page.name.startswith(f"{number:04}-")
        assert f"| [{number}]({page.name}) | {title} |" in listed
        for part in ("## Context", "## Decision", "## Consequences"):
            assert part in text
