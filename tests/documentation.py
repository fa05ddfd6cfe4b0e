"""Reads the project's pages: their blocks, the commands in these, and how each is tested.

`tests/system/test_docs.py` runs the commands of all pages on a network, as they are written. `HELD`
lists the commands that cannot run there, with the reason or the test that runs them instead.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_PLACES = ("*.md", "docs/**/*.md", "contracts/*.md", "examples/*.md", "mining/node/models/*.md")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEREDOC = re.compile(r"<<'(\w+)'$")


@dataclass(frozen=True)
class Held:
    """Commands that are not run with their page. `pattern` matches their beginnings."""

    pattern: str
    reason: str


HELD = (
    Held(r"make run$", "it stays up: tests/cortensor_site/test_stack_main.py starts it"),
    Held(r"make ask", "tests/cortensor_site/test_stack_ask.py"),
    Held(r"make (test|lint|docs)$", "CI runs it: .ci/run"),
    Held(r"make prove-contracts", "CI runs it: .ci/run"),
    Held(r"make (test-contracts|setup-dev)", "a part of `make test`, which CI runs"),
    Held(r"make (contracts|bench-gas|audit|pins)", "it compiles or installs, for minutes"),
    Held(r"python contracts/build\.py --check", "a part of `make test-contracts`"),
    Held(r"\.venv/bin/python manage\.py createsuperuser", "it asks for a password at a terminal"),
    Held(r"\.venv/bin/python manage\.py makemigrations", "tests/cortensor_site/test_migrations.py"),
    Held(r"\.venv/bin/python manage\.py pay_per_call", "tests/cortensor_site/test_pay_per_call.py"),
    Held(r"\.venv/bin/python -m pytest", "it is this"),
    Held(r"(\.venv/bin/python|node|sh) examples/", "tests/system/test_examples.py"),
    Held(r"export CMAKE_ARGS|pip install", "it compiles llama.cpp, for minutes: `make setup`"),
    Held(
        r"python -m mining\.node (init|models add|register|run)\b",
        "the steps of examples/miner.sh: tests/system/test_examples.py",
    ),
    Held(r"python -m mining\.node bench", "tests/node/test_deployment.py"),
    Held(r"python -m mining\.node (stake|models announce)", "tests/node/account/test_staking.py"),
    Held(r"python -m mining\.node rewards", "tests/node/network/test_rewards.py"),
    Held(r"UPSTREAM_URL=", "it takes a server of another make: tests/node/engine/test_upstream.py"),
    Held(r"docker ", "it takes a Docker daemon: tests/node/test_deployment.py runs its files"),
    Held(r"python -m mining\.training\.", "training takes an hour: tests/training/test_model.py"),
)


def pages() -> list[Path]:
    """Return the paths of all pages of the project."""
    return sorted(path for place in _PLACES for path in ROOT.glob(place))


def name_of(page: Path) -> str:
    """Return a page's path in the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Yield the language and the text of each fenced block of a page."""
    for match in _BLOCK.finditer(page.read_text()):
        yield match[1], match[2]


def prose(page: Path) -> str:
    """Return the text of a page without its blocks."""
    return _BLOCK.sub("", page.read_text())


def commands(block: str) -> Iterator[str]:
    """Yield the commands of a shell block, with continuation lines and here-documents."""
    lines = iter(block.splitlines())
    for line in lines:
        command = line
        while command.endswith("\\"):
            command += "\n" + next(lines)
        if end := _HEREDOC.search(command):
            for fed in lines:
                command += "\n" + fed
                if fed == end[1]:
                    break
        if command.strip():
            yield command


def held(command: str) -> Held | None:
    """Return the entry of HELD for a command, or None if it is run with its page."""
    return next((each for each in HELD if re.match(each.pattern, command)), None)


def script_of(page: Path) -> str:
    """Return a shell script that runs a page's commands and Python programs, in their order."""
    parts = []
    for language, text in blocks(page):
        if language == "sh":
            parts += [command for command in commands(text) if held(command) is None]
        elif language == "python" and text.startswith("from "):
            parts.append(f".venv/bin/python - <<'END'\n{text}END")
    return "\n".join(parts)
