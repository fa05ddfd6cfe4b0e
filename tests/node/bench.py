"""A miner in the test's process, the router's view of it, and jobs for it."""

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from chain.protocol.messages import SigningDomain
from mining.node.account.wallet import Wallet
from mining.node.disk.journal import Journal
from mining.node.disk.stash import Stash
from mining.node.protocol.reports import FailedReport, Report, read_report
from mining.node.shelf.shelf import Shelf
from mining.node.worker.mailbox import Mailbox
from mining.node.worker.miner import Miner
from mining.node.worker.task_check import TaskCheck

DIGEST = bytes(range(32))
QUEUE = "0x" + "22" * 20
DOMAIN, POOL = SigningDomain(31337, QUEUE), SigningDomain(31337, "0x" + "33" * 20)
SLOTS = 4


class Bench:
    """A miner, and the router's view of it."""

    def __init__(self, redis_url: str, shelf: Shelf, home: Path) -> None:
        self.wallet = Wallet.create_or_open(home)
        self.address = self.wallet.address
        self.prefix = f"miner:{self.address.lower()}:"
        self.mailbox = Mailbox(redis_url, self.address)
        self.redis: Any = redis.Redis.from_url(redis_url, decode_responses=True)
        self.shelf, self.home = shelf, home
        self.check: TaskCheck | None = None
        self.miner = self.restarted()

    def restarted(self) -> Miner:
        """Return the same miner, as after a restart of its process."""
        return Miner(
            shelf=self.shelf,
            slots=SLOTS,
            wallet=self.wallet,
            mailbox=self.mailbox,
            stash=Stash(self.home / "stash"),
            pool_domain=POOL,
            journal=Journal(self.home / "journal"),
            check=self.check,
        )

    def reports(self) -> list[Report]:
        return [read_report(entry) for _, entry in self.redis.xrange(self.prefix + "reports")]

    def codes(self) -> list[str]:
        return [report.code for report in self.reports() if isinstance(report, FailedReport)]

    def stream(self, job: dict[str, Any]) -> list[dict[str, str]]:
        key = f"{self.prefix}stream:{job['assignment_id']}"
        return [entry for _, entry in self.redis.xrange(key)]


def new_job(**changes: Any) -> dict[str, Any]:
    return {
        "assignment_id": str(uuid.uuid4()),
        "session_id": 3,
        "task_id": 1_000_004,
        "task_digest": "0x" + DIGEST.hex(),
        "chain_id": 31337,
        "queue_address": QUEUE,
        "model_identifier": 1,
        "prompt": "Where is the hen?",
        "prompt_form": 0,
        "prompt_template": "",
        "max_tokens": 24,
        "temperature_x100": 80,
        "top_p_x100": 95,
        "top_k": 40,
        "presence_penalty_x100": 0,
        "frequency_penalty_x100": 0,
        "stop": [],
        "deadline_at": time.time() + 30,
        "inline": True,
        "sealed_prompt": "",
        "seal_for": [],
        **changes,
    }


def endless_job(bench: Bench) -> dict[str, Any]:
    """Return a job whose answer has hundreds of tokens, found by trying digests."""
    for number in range(50):
        job = new_job(max_tokens=460, task_digest="0x" + number.to_bytes(32, "big").hex())
        bench.miner.infer(job)
        if bench.stream(job)[-1].get("completion_tokens") == "460":
            return {**job, "assignment_id": str(uuid.uuid4())}
    raise AssertionError("every digest ends early")


def until(condition: Callable[[], object], timeout_s: float = 5) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.002)
