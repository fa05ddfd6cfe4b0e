"""Fixtures: a node with the tiny model, and the reports that its router reads."""

import time
from pathlib import Path
from typing import Any

import pytest
import redis

from mining.node.account.wallet import Wallet
from mining.node.disk.journal import Journal
from mining.node.engine.batch_engine import Engine
from mining.node.network.check import NetworkCheck
from mining.node.network.duties import NetworkDuties
from mining.node.network.job import NETWORK_REPORTS, NetworkReport
from mining.node.network.stash import CompletionStash
from mining.node.protocol.wire import read_entry
from mining.node.shelf.shelf import Shelf, ShelvedModel
from mining.node.worker.mailbox import Mailbox

COGNITIVE = "0x" + "c0" * 20
CHAIN_ID = 31337
SEED = 2**255 + 12345


class IdleNode:
    """A node that does network tasks, and its mailbox."""

    def __init__(self, redis_url: str, engine: Engine, home: Path) -> None:
        self.wallet = Wallet.create_or_open(home)
        self.address = self.wallet.address
        self.engine, self.home = engine, home
        self.shelf = Shelf([ShelvedModel(1, engine.prompts, 0, lambda: engine)])
        self.busy = self.draining = False
        self.mailbox = Mailbox(redis_url, self.address)
        self._redis: Any = redis.Redis.from_url(redis_url, decode_responses=True)
        self.duties = self.restarted()

    def restarted(self, check: NetworkCheck | None = None) -> NetworkDuties:
        """Return the same node, as after a restart of its process."""
        return NetworkDuties(
            shelf=self.shelf,
            wallet=self.wallet,
            mailbox=self.mailbox,
            stash=CompletionStash(self.home / "network"),
            is_busy=lambda: self.busy,
            is_draining=lambda: self.draining,
            journal=Journal(self.home / "journal"),
            check=check,
        )

    def reports(self) -> list[NetworkReport]:
        entries = self._redis.xrange(self.mailbox.prefix + "reports")
        return [read_entry(entry, NETWORK_REPORTS) for _, entry in entries]


def job(stage: str, **changes: Any) -> dict[str, Any]:
    values = {
        "stage": stage,
        "chain_id": CHAIN_ID,
        "contract": COGNITIVE,
        "number": 3,
        "seed": SEED,
        "deadline_at": time.time() + 60,
    }
    return values | changes


@pytest.fixture
def node(redis_url: str, engine: Engine, tmp_path: Path) -> IdleNode:
    return IdleNode(redis_url, engine, tmp_path)
