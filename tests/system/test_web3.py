"""Clients that have only a key, an RPC node and the published interface."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from cortensor_site.stack.example import transact
from tests.system.conftest import CHEAP, Client

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).parent / "ethers_client.mjs"
EPHEMERAL, DEDICATED = 0, 1


def ethers_client(
    client: Client, *, prompt: str, mode: int, redundant: int, nodes: Sequence[str] = ()
) -> dict[str, Any]:
    """What an ethers client saw of its own session and task, once the results were there."""
    contracts = client.contracts
    asked = {
        "rpcUrl": client.network.rpc_url,
        "key": client.account.key.hex(),
        "session": contracts.session.address,
        "queue": contracts.queue.address,
        "token": contracts.token.address,
        "payment": contracts.payment.address,
        "reference": str(ROOT / "contracts" / "reference"),
        "mode": mode,
        "redundant": redundant,
        "nodes": list(nodes),
        "prompt": prompt,
    }
    run = subprocess.run(
        ["node", str(SCRIPT), json.dumps(asked)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    seen: dict[str, Any] = json.loads(run.stdout)
    return seen


def test_an_ethers_client_asks_on_chain_and_reads_its_results_there(client: Client) -> None:
    seen = ethers_client(client, prompt="What is 12 + 7?", mode=EPHEMERAL, redundant=2)
    assert seen["owner"] == client.account.address
    assert (seen["taskId"], seen["dedicatedNodes"]) == (0, [])
    assert sorted(seen["miners"]) == sorted(seen["assignedMiners"])
    ids = [client.contracts.session.functions.getNodeId(miner).call() for miner in seen["miners"]]
    assert sorted(seen["assignedNodeIds"]) == sorted("0x" + node_id.hex() for node_id in ids)
    texts = {
        json.loads(result)["result"]
        for miner, result in zip(seen["miners"], seen["results"], strict=True)
        if client.miner(miner).model != CHEAP
    }
    assert texts == {"12 + 7 = 19."}


def test_a_dedicated_session_is_worked_for_by_the_nodes_on_its_list(client: Client) -> None:
    own = sorted(miner.address for miner in client.network.miners if miner.model != CHEAP)[:2]
    seen = ethers_client(client, prompt="What is 31 + 8?", mode=DEDICATED, redundant=2, nodes=own)
    assert seen["dedicatedNodes"] == own
    assert sorted(seen["miners"]) == own
    shown = httpx.get(
        f"{client.network.router_url}/api/v1/sessions/{seen['sessionId']}",
        headers={"Authorization": f"Bearer {client.network.api_key}"},
    ).json()
    assert sorted(shown["dedicated_nodes"]) == sorted(own)
    session = client.contracts.session.functions
    for address in own:
        transact(client.w3, client.account, session.removeDedicatedNode(seen["sessionId"], address))
