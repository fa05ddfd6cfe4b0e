"""Input that kills a node costs at most one task, and the next client is served."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from cortensor_site.stack.processes import Miner
from mining.node.protocol.reports import NODE_DIED
from tests.system.conftest import HONEST, Client
from tests.system.test_faults import _ask, _assigned, _has_ended, _wait_for_miners

ENDED_S = 180.0


def until(condition: Callable[[], Any], pause_s: float = 0.2) -> Any:
    end = time.monotonic() + ENDED_S
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come about"
        time.sleep(pause_s)
    return found


def _kill_at_work(client: Client, miner: Miner, attempt: int) -> None:
    """The job itself kills nobody: the test does, while that job runs."""
    until(lambda: list((miner.home / "journal").glob(f"*_{attempt}.running")), 0.002)
    pid = client.network.supervisor.pid(miner.name)
    os.kill(pid, signal.SIGKILL)
    until(lambda: client.network.supervisor.pid(miner.name) not in (0, pid))


def test_a_task_that_kills_its_node_twice_is_refused_and_refunded(
    client: Client,
    without_cheat: None,  # the smaller model may be done before it is killed
) -> None:
    # The tests before this one break the network, which may still be recovering.
    until(lambda: httpx.get(f"{client.network.router_url}/readyz").status_code == 200)
    _wait_for_miners(client, len(client.network.miners) - 1)
    session_id = client.session(1)
    deposited_wei = client.balance_wei(session_id)
    asking = threading.Thread(target=_ask, args=(client, session_id), daemon=True)
    asking.start()
    task_id, [address] = _assigned(client, session_id)
    miner = client.miner(address)
    for attempt in range(2):
        _kill_at_work(client, miner, attempt)
    task = until(
        lambda: (told := client.router.task(session_id, task_id))["status"] == "failed" and told
    )
    assert task["outcome"]["code"] == NODE_DIED
    until(lambda: _has_ended(client, session_id, task_id))
    assert client.contracts.queue.functions.reservedOf(session_id, task_id).call() == 0
    assert client.balance_wei(session_id) == deposited_wei
    asking.join(ENDED_S)


def test_what_ended_every_miner_is_answered_or_refused_by_name(
    client: Client, options: dict[str, Any]
) -> None:
    def asked(schema: dict[str, Any]) -> httpx.Response:
        form = {"name": "a", "schema": schema, "strict": True}
        body = {
            "model": Path(HONEST).stem,
            "messages": [{"role": "user", "content": "say it"}],
            "response_format": {"type": "json_schema", "json_schema": form},
        }
        headers = options["default_headers"] | {"Authorization": f"Bearer {options['api_key']}"}
        url = f"{options['base_url']}/chat/completions"
        return httpx.post(url, headers=headers, content=json.dumps(body), timeout=ENDED_S)

    def said(schema: dict[str, Any]) -> object:
        return json.loads(asked(schema).json()["choices"][0]["message"]["content"])

    assert said({"enum": ["a\0b"]}) == "a\0b"
    refused = asked({"type": "string", "pattern": "^\ud83d$"})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"].startswith("response_format")
    assert said({"const": "and on"}) == "and on"
