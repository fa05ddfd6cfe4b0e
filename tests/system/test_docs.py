"""The commands of the documentation, as written, against a running network."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cortensor_site.stack.chat_model import SMOLLM2
from cortensor_site.stack.servers.embedded import BASE_DIR
from mining.node.config import SHIPPED_MODEL
from tests.system.conftest import Client

ADDRESS = "127.0.0.1:5010"
"""Where the documentation has the router."""
TIMEOUT_S = 120
_BLOCK = re.compile(r"(?:^    .*\n|^\n(?=    ))+", re.MULTILINE)
_COMMANDS = ("curl ", ".venv/bin/python ", "set -a", "URL=", "OWNER=")
_PRELUDE = """
set -e
curl() { command curl -sS --fail-with-body --max-time 60 "$@"; echo; }
"""


def commands(text: str) -> Iterator[str]:
    """The commands in a page's indented blocks, and its Python as a command."""
    for match in _BLOCK.finditer(text):
        block = re.sub("^    ", "", match[0], flags=re.MULTILINE).strip()
        python, shell, rest = (
            block.partition("curl ") if block.startswith("from ") else ("", "", block)
        )
        if python:
            yield f".venv/bin/python - <<'END'\n{python.strip()}\nEND\n"
        if (shell + rest).startswith(_COMMANDS):
            yield shell + rest + "\n"


def script_of(page: str) -> str:
    """All commands of a page, one after the other."""
    found = list(commands((BASE_DIR / "docs" / page).read_text()))
    assert found, page
    return _PRELUDE + "\n".join(found)


@pytest.fixture
def checkout(client: Client, tmp_path: Path) -> Path:
    """A folder that looks like the checkout in which this network runs."""
    for path in BASE_DIR.iterdir():
        if path.name not in ("var", ".git"):
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "var").symlink_to(client.network.var_dir)
    return tmp_path


@pytest.mark.parametrize("page", ["openai.md", "live.md", "access.md"])
def test_every_command_of_a_page_does_what_it_says(
    client: Client, checkout: Path, page: str
) -> None:
    session_id = client.session(1)
    script = script_of(page).replace(ADDRESS, client.network.router_url.removeprefix("http://"))
    script = script.replace(SMOLLM2.name, SHIPPED_MODEL.stem)  # which tests serve
    script = re.sub(r'"session_id": 1\b', f'"session_id": {session_id}', script)
    script = re.sub(r"\bsession_id=1\b", f"session_id={session_id}", script)
    script = script.replace("tasks/1/", f"tasks/{session_id}/")
    # Its number and the webhook's are those of the first ones of a fresh network.
    for path in ("keys", "webhooks"):
        newest = f'$(newest "$URL/{path}")'
        script = re.sub(rf"\$URL/{path}/\d+", f"$URL/{path}/{newest}", script)
    script = script.replace("-m websockets", "-m websockets </dev/null")
    done = subprocess.run(
        ["bash", "-c", _NEWEST + script],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"


_NEWEST = """
newest() {
  command curl -sS "$1" -H "Authorization: Bearer $MANAGER" | .venv/bin/python -c '
import json, sys
[rows] = [value for value in json.load(sys.stdin).values() if isinstance(value, list)]
print(max(row["id"] for row in rows))'
}
"""
