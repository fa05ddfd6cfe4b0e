"""Fixtures: a chain with short epochs, and idle nodes with the shipped model and real mailboxes."""

import json
import queue
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from django.utils import timezone
from eth_account import Account
from kombu import Connection

from chain.deployed import keys as chain_keys
from chain.deployed.contracts import connect
from chain.deployed.deploy import RoleHolders, deploy, fund_rewards
from chain.following.sync import Follower
from chain.rpc.client import Rpc
from chain.sending.sender import Sender
from cortensor_site.stack.servers.embedded import start_anvil
from mining import keys
from mining.enrolment.redis_users import enrol, revoke
from mining.models import MinerPresence
from mining.network import judging, rounds
from mining.network.rounds import Conductor
from mining.node.account.evm import Rpc as NodeRpc
from mining.node.account.wallet import Wallet
from mining.node.config import SHIPPED_MODEL
from mining.node.disk.journal import Journal
from mining.node.engine.batch_engine import Engine
from mining.node.network.check import NetworkCheck
from mining.node.network.duties import NetworkDuties
from mining.node.network.stash import CompletionStash
from mining.node.protocol.names import NETWORK_QUEUE, mailbox_prefix
from mining.node.shelf.shelf import Shelf, ShelvedModel
from mining.node.worker.mailbox import Mailbox
from mining.reports.collector import Collector
from tests.anvil import DEPLOYER, MODEL, ORACLE, PRICE, ROUTER, Chain
from tests.free_ports import free_port

EPOCH_S = 60
FUNDED_WEI = 1_000 * 10**18


@pytest.fixture(scope="module")
def shipped_engine() -> Iterator[Engine]:
    engine = Engine(SHIPPED_MODEL)
    yield engine
    engine.close()


@pytest.fixture
def short_chain(settings: Any, tmp_path: Path, deployment: Any) -> Iterator[Chain]:
    """A separate chain: its clock follows this machine's, and an epoch lasts a minute."""
    settings.KEYSTORE_PASSWORD_FILE.parent.mkdir(parents=True, exist_ok=True)
    settings.KEYSTORE_PASSWORD_FILE.write_text("secret")
    keys.validator.cache_clear()
    validator = chain_keys.load_or_create(settings.KEYSTORE_DIR / "validator.json", "secret")
    roles = RoleHolders(ROUTER.address, ORACLE.address, validator.address, DEPLOYER.address)
    with ExitStack() as stack:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="cortensor-round-", ignore_cleanup_errors=True)
        )
        url = start_anvil(stack, Path(folder), free_port(), block_time_s=0.1)
        w3 = connect(url)
        w3.provider.make_request("anvil_setBalance", [DEPLOYER.address, hex(10**24)])  # type: ignore[arg-type]
        settings.RPC_URL, settings.RPC_URLS = url, [url]
        settings.DEPLOYMENT_FILE = tmp_path / "short/deployment.json"
        deployed = deploy(w3, DEPLOYER, roles, {MODEL: PRICE}, epoch_s=EPOCH_S)
        fund_rewards(w3, deployed, DEPLOYER, FUNDED_WEI)
        w3.provider.make_request("evm_setIntervalMining", [0])  # type: ignore[arg-type]
        yield Chain(url, w3, deployed)
    keys.validator.cache_clear()


class RunningNode:
    """A node with a Redis user of its own, which handles its mailbox when a test asks it to."""

    def __init__(self, chain: Chain, engine: Engine, home: Path) -> None:
        self.wallet = Wallet.create_or_open(home)
        self.address = self.wallet.address
        self.url = enrol(self.address)
        self.busy = False
        self.deaf = False
        contract = chain.deployment.addresses["Cognitive"]
        self.duties = NetworkDuties(
            shelf=Shelf([ShelvedModel(1, engine.prompts, 0, lambda: engine)]),
            wallet=self.wallet,
            mailbox=Mailbox(self.url, self.address),
            stash=CompletionStash(home / "network"),
            is_busy=lambda: self.busy,
            is_draining=lambda: False,
            journal=Journal(home / "journal"),
            check=NetworkCheck(NodeRpc(chain.url), contract, self.address),
        )

    def work(self) -> None:
        options = {"global_keyprefix": mailbox_prefix(self.address)}
        with Connection(self.url, transport_options=options) as connection:
            messages = connection.SimpleQueue(NETWORK_QUEUE)
            while True:
                try:
                    message = messages.get(block=False)
                except queue.Empty:
                    return
                message.ack()
                assert message.headers["task"] == "mining.node.network"
                if not self.deaf:
                    self.duties.do(json.loads(message.body)[1]["job"])


class IdleNetwork:
    """The router's processes, run step by step, and nodes on a chain."""

    def __init__(self, chain: Chain, engine: Engine, home: Path, redis_url: str) -> None:
        self.chain = chain
        self.nodes = [RunningNode(chain, engine, home / str(n)) for n in range(4)]
        self.by_address = {node.address: node for node in self.nodes}
        for node in self.nodes:
            chain.register_miner(Account.from_key(node.wallet._account.key))
        self.redis_url = redis_url
        self.collector = Collector(redis.Redis.from_url(redis_url, protocol=2))
        self.follower = Follower(Rpc(chain.url), chain.deployment)
        self.sender = Sender(Rpc(chain.url), chain.deployment, {"router": ROUTER, "oracle": ORACLE})
        self.conductor = self.restarted()
        # The conductor's first step has to find the nodes registered and online.
        self._beat()
        self._follow()

    def restarted(self) -> Conductor:
        """Replace the conductor, as if the `network_tasks` process had been killed."""
        self.conductor = Conductor(Rpc(self.chain.url), self.chain.deployment, every_s=1)
        return self.conductor

    @property
    def cognitive(self) -> Any:
        return self.chain.contract("Cognitive").functions

    def step(self) -> None:
        """Let the router and the nodes do their work, and mine a block."""
        self._beat()
        self.conductor.step()
        for node in self.nodes:
            node.work()
        self.collector.collect(block_ms=1)
        self._validate()
        self.sender.tick()
        self.chain.mine()
        self.sender.tick()
        self._follow()

    def play_until(self, reached: Any, seconds: float = 60, pause_s: float = 0.05) -> Any:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if found := reached():
                return found
            self.step()
            time.sleep(pause_s)
        raise AssertionError("the network has not come so far in time")

    def _beat(self) -> None:
        for node in self.nodes:
            MinerPresence.objects.update_or_create(
                address=node.address.lower(), defaults={"last_seen_at": timezone.now(), "slots": 4}
            )

    def _follow(self) -> None:
        while self.follower.step():
            pass

    def _validate(self) -> None:
        with redis.Redis.from_url(self.redis_url) as client:
            while (raw := client.rpop("router:validation")) is not None:
                message = json.loads(raw)
                assert message["headers"]["task"] == "mining.judge_network_task"
                judging.judge_session(int(message["headers"]["argsrepr"].strip("(),")))


@pytest.fixture
def idle_network(
    short_chain: Chain,
    shipped_engine: Engine,
    tmp_path: Path,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[IdleNetwork]:
    # A longer pause would only slow down the tests.
    monkeypatch.setattr(rounds, "LOOK_EVERY_S", 0.1)
    network = IdleNetwork(short_chain, shipped_engine, tmp_path / "nodes", redis_url)
    yield network
    for node in network.nodes:
        revoke(node.address)
