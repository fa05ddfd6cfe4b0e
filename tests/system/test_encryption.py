"""An encrypted task with all parts real: no file has it in clear, and its client reads it."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from chain.protocol.envelopes import Context, Role, encryption_key, public_key, unseal
from chain.storage.blocks import LocalBlocks, fetch
from chain.storage.cids import Cid
from cortensor_site.stack.example import transact
from tests.system.conftest import Client

TIMEOUT_S = 30.0
KEY = encryption_key(b"\x07" * 32)


def ask_for_encryption(client: Client, session_id: int) -> None:
    """Name KEY in the session's metadata, and wait until the router has heard of it."""
    metadata = json.dumps({"encryption": {"public_key": "0x" + public_key(KEY).hex()}})
    session = client.contracts.session
    change = session.functions.update("secret", metadata, session_id, 1, 3, 3, 1, 0)
    transact(client.w3, client.account, change)
    until = time.monotonic() + TIMEOUT_S
    url = f"{client.network.router_url}/api/v1/sessions/{session_id}"
    headers = {"Authorization": f"Bearer {client.network.api_key}"}
    while httpx.get(url, headers=headers).json()["metadata"] != metadata:
        assert time.monotonic() < until, "the router has not heard of the session's metadata"
        time.sleep(0.2)


def ask(client: Client, session_id: int, prompt: str) -> dict[str, Any]:
    """The task of a prompt once it has ended."""
    with client.router.notices() as notices:
        answer = client.router.ask(session_id, prompt, _nothing)
        return client.router.wait_until_ended(notices, answer, _nothing)


def files_with(folder: Path, text: str) -> list[str]:
    """The files anywhere in a folder that hold a text, as it is or in hex as a chain's state is."""
    forms = [text.encode(), text.encode().hex().encode()]
    return [str(path.relative_to(folder)) for path in _files(folder) if _holds(path, forms)]


def test_no_file_holds_an_encrypted_task_in_clear_and_its_client_reads_it(client: Client) -> None:
    var_dir = client.network.var_dir
    clear, secret = client.session(3), client.session(3)
    ask_for_encryption(client, secret)

    ask(client, clear, "What is 41 + 36?")
    assert any(name.startswith("blocks") for name in files_with(var_dir, "41 + 36"))

    task = ask(client, secret, "What is 43 + 38?")
    assert task["encrypted"]
    texts = {part["address"]: part["text"] for part in task["miners"]}
    assert any("43 + 38 = 81" in text for text in texts.values())
    assert files_with(var_dir, "43 + 38") == []

    read = client.contracts.session.functions.getTaskResults(secret, task["task_id"])
    miners, addresses = read.call()
    context = Context(client.w3.eth.chain_id, secret, task["task_id"], Role.RESULT)
    blocks = LocalBlocks(var_dir / "blocks")
    results = {
        miner: json.loads(unseal(fetch(blocks, _cid(address)), context, KEY))["result"]
        for miner, address in zip(miners, addresses, strict=True)
        if address
    }
    assert len(results) >= 2
    assert results.items() <= texts.items()


def _cid(address: str) -> Cid:
    return Cid.parse(address.removeprefix("ipfs://"))


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path


def _holds(path: Path, forms: Sequence[bytes]) -> bool:
    try:
        content = path.read_bytes()
    except OSError:  # a server's temporary file is gone again
        return False
    return any(form in content for form in forms)


def _nothing(_: str) -> None:
    pass
