"""Fixtures: a whole network with real parts for all system tests, and a client of it."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest
from eth_account.signers.local import LocalAccount
from web3 import Web3

from chain.deployed.contracts import Deployment, connect
from chain.deployed.keys import load
from cortensor_site.stack.example import (
    Answer,
    Contracts,
    Router,
    grant_test_tokens,
    open_session,
)
from cortensor_site.stack.network import MODELS_DIR, Network, keystore_password, running_network
from cortensor_site.stack.processes import Miner
from tests.free_ports import free_ports
from tests.money import assert_every_unit_is_accounted_for

TIMEOUT_S = 60.0
BLOCK_TIME_S = 0.25
"""The chain's block time. Tests wait for blocks, so they are short, as on some layer-2 chains."""
HONEST, CHEAP = (str(MODELS_DIR / f"cortensor-{name}.gguf") for name in ("mini", "micro"))


@dataclass(frozen=True)
class Client:
    """A client of the network: its wallet, its connection to the router, and the chain."""

    network: Network
    account: LocalAccount
    router: Router
    contracts: Contracts

    @property
    def w3(self) -> Web3:
        return self.contracts.w3

    def session(self, redundancy: int) -> int:
        """Create a session with a deposit, and wait until the router has it."""
        session_id = open_session(self.contracts, self.account, redundancy=redundancy)
        self.router.wait_for_session(session_id, self.balance_wei(session_id))
        return session_id

    def wait_until_settled(self, session_id: int) -> None:
        """Wait for the chain to end each of a session's tasks."""
        with self.router.notices() as notices:
            for task in self.router.tasks(session_id):
                answer = Answer(session_id, task["task_id"], "", 0.0, time.monotonic())
                self.router.wait_until_ended(notices, answer, lambda _: None)

    def balance_wei(self, session_id: int) -> int:
        return int(self.contracts.payment.functions.sessionBalance(session_id).call())

    def miner(self, address: str) -> Miner:
        [miner] = [m for m in self.network.miners if m.address == address]
        return miner


@pytest.fixture(scope="package")
def running() -> Iterator[Network]:
    """A network with four honest miners, and one that runs a cheaper model than it is paid for."""
    with tempfile.TemporaryDirectory(prefix="cortensor-system-") as folder:
        # If the tests run as root, PostgreSQL runs as another user, which needs the folder.
        Path(folder).chmod(0o755)
        with pytest.MonkeyPatch.context() as environment:
            # The receiver of webhooks is on this machine.
            environment.setenv("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8")
            environment.setenv("WEBHOOK_PLAIN_HTTP", "1")
            # Idle miners have a network of their own, in `test_network_tasks`.
            environment.setenv("NETWORK_TASK_EVERY_S", "0")
            models = [HONEST] * 4 + [CHEAP]
            with running_network(
                Path(folder), free_ports(), models, print, {}, block_time_s=BLOCK_TIME_S
            ) as network:
                yield network


@pytest.fixture(scope="package")
def funded(running: Network) -> Client:
    password = keystore_password(running.var_dir)
    account = load(running.keystore_dir / "client.json", password)
    treasury = load(running.keystore_dir / "deployer.json", password)
    contracts = Contracts.at(connect(running.rpc_url), Deployment.load(running.deployment_file))
    grant_test_tokens(contracts, treasury, account)
    return Client(running, account, Router(running.router_url, running.api_key), contracts)


@pytest.fixture
def client(funded: Client) -> Iterator[Client]:
    """The client; after the test, every unit of money must be accounted for."""
    yield funded
    assert_every_unit_is_accounted_for(funded.contracts.payment, funded.contracts.token)


@pytest.fixture
def session_id(client: Client) -> Iterator[int]:
    """A session. After the test, all of its tasks must be settled."""
    session_id = client.session(1)
    yield session_id
    client.wait_until_settled(session_id)


@pytest.fixture
def options(client: Client, session_id: int) -> dict[str, Any]:
    """Arguments for OpenAI's clients that make the session pay."""
    return {
        "base_url": f"{client.network.router_url}/v1",
        "api_key": client.network.api_key,
        "default_headers": {"X-Session-ID": str(session_id)},
        "timeout": TIMEOUT_S,
    }


@pytest.fixture
def sdk(options: dict[str, Any]) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(**options) as sdk:
        yield sdk


@pytest.fixture
def without_cheat(client: Client) -> Iterator[None]:
    """Keep tasks from the miner with the cheap model during a test."""
    [cheat] = [miner for miner in client.network.miners if miner.model == CHEAP]
    client.network.supervisor.stop(cheat.name)
    client.router.wait_until_gone(cheat.address)
    yield
    client.network.supervisor.start(cheat.name)


@dataclass(frozen=True)
class Visited:
    """The data that a visitor of the dashboard needs."""

    router_url: str
    demo_session_id: int
    demo_api_key: str


@pytest.fixture
def network(client: Client) -> Any:
    return Visited(client.network.router_url, client.session(3), client.network.api_key)
