"""The commands of the documentation, as written, against a running network."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from cortensor_site.stack.chat_model import SMOLLM2
from mining.node.config import SHIPPED_MODEL
from tests.documentation import ROOT, blocks, name_of, pages, script_of
from tests.system.conftest import Client
from tests.system.test_openai import ANSWER, ASKED

ADDRESS = "127.0.0.1:5010"
"""Where the documentation has the router."""
TIMEOUT_S = 120
PAGES = [page for page in pages() if script_of(page)]
_PRELUDE = """
set -e
curl() { command curl -sS --fail-with-body --max-time 60 "$@"; echo; }
make() { echo "make $* changes what the checkout's links lead to: hold it" >&2; return 1; }
newest() {
  command curl -sS "$1" -H "Authorization: Bearer $MANAGER" | .venv/bin/python -c '
import json, sys
[rows] = [value for value in json.load(sys.stdin).values() if isinstance(value, list)]
print(max(row["id"] for row in rows))'
}
"""


@pytest.fixture
def checkout(client: Client, tmp_path: Path) -> Path:
    """A folder that looks like the checkout in which this network runs."""
    for path in ROOT.iterdir():
        if path.name not in ("var", ".git"):
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "var").symlink_to(client.network.var_dir)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_of_a_page_does_what_it_says(
    client: Client, checkout: Path, page: Path
) -> None:
    session_id = client.session(1)
    script = script_of(page).replace(ADDRESS, client.network.router_url.removeprefix("http://"))
    script = script.replace(SMOLLM2.name, SHIPPED_MODEL.stem)  # which tests serve
    script = re.sub(r'"session_id": 1\b', f'"session_id": {session_id}', script)
    script = re.sub(r"\bsession_id=1\b", f"session_id={session_id}", script)
    script = re.sub(r"\btasks/1\b", f"tasks/{session_id}", script)
    # Its number and the webhook's are those of the first ones of a fresh network.
    for path in ("keys", "webhooks"):
        newest = f'$(newest "$URL/{path}")'
        script = re.sub(rf"\$URL/{path}/\d+", f"$URL/{path}/{newest}", script)
    script = script.replace("-m websockets", "-m websockets </dev/null")
    done = subprocess.run(
        ["bash", "-c", _PRELUDE + script],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"


def test_a_result_on_chain_is_read_as_the_page_for_deployed_clients_says(
    client: Client, session_id: int
) -> None:
    client.router.ask(session_id, ASKED, lambda _: None)
    client.wait_until_settled(session_id)
    [task] = client.router.tasks(session_id)
    named: dict[str, Any] = {
        "httpx": httpx,
        "json": json,
        "session": client.contracts.session,
        "session_id": session_id,
        "task_id": task["task_id"],
    }
    for language, text in blocks(ROOT / "docs/clients.md"):
        if language == "python":
            code = text.replace(ADDRESS, client.network.router_url.removeprefix("http://"))
            exec(code, named)
    assert named["texts"] == [ANSWER]
