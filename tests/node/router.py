"""A miner's process, and the router's side of its mailbox."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from chain.deployed.contracts import Deployment
from cortensor_site.stack.servers.embedded import start_redis
from mining.enrolment.redis_users import enrol
from mining.node.account.wallet import Wallet
from mining.node.protocol.names import INFER, REVEAL
from mining.node.protocol.reports import CommitReport, PrecommitReport, Report, read_report
from tests.free_ports import free_port
from tests.node.bench import POOL

TIMEOUT_S = 20.0


class Router:
    """The router's side of a miner's mailbox, and the miner's process."""

    def __init__(self, redis_url: str, home: Path, model_path: Path) -> None:
        self.address = Wallet.create_or_open(home).address
        self.prefix = f"miner:{self.address.lower()}:"
        self.redis: Any = redis.Redis.from_url(redis_url, decode_responses=True)
        self.celery = Celery(broker=redis_url, set_as_current=False)
        self.celery.conf.broker_transport_options = {"global_keyprefix": self.prefix}
        self.miner_url = enrol(self.address)
        self.home = home
        self.environment = {
            "PATH": os.environ["PATH"],
            "CORTENSOR_NODE_HOME": str(home),
            "REDIS_URL": self.miner_url,
            "MODEL": str(model_path),
            "SLOTS": "2",
        }
        self.log = home / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the miner and wait until it takes jobs."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mining.node", "run"],
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        self.until(lambda: " ready." in self.log.read_text())

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run another command of the miner."""
        return subprocess.run(
            [sys.executable, "-m", "mining.node", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def end(self, number: int = signal.SIGTERM) -> int:
        """Stop the miner and return its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT_S)

    def send(self, task: str, queue: str, *args: object, **kwargs: object) -> None:
        self.celery.send_task(task, args, kwargs, queue=queue, ignore_result=True)

    def have_done(self, job: dict[str, Any]) -> None:
        """Let the miner do a job, from the prompt to the revealed result."""
        self.send(INFER, "inference", job=job)
        self.until(lambda: self.of(PrecommitReport))
        self.send(REVEAL, "control", job["assignment_id"])
        self.until(lambda: self.of(CommitReport))
        assert self.stream(job)[-1]["done"] == "1"

    def reports(self) -> list[Report]:
        return [read_report(entry) for _, entry in self.redis.xrange(self.prefix + "reports")]

    def of(self, kind: type[Report]) -> list[Any]:
        return [report for report in self.reports() if isinstance(report, kind)]

    def stream(self, job: dict[str, Any]) -> list[dict[str, str]]:
        key = f"{self.prefix}stream:{job['assignment_id']}"
        return [entry for _, entry in self.redis.xrange(key)]

    def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < end, self.log.read_text()[-4000:]
            time.sleep(0.02)


@pytest.fixture
def servers(tmp_path: Path, model_path: Path, settings: Any) -> Iterator[str]:
    """A separate Redis for this test, which changes its users and restarts it."""
    with ExitStack() as stack:
        url = start_redis(stack, tmp_path / "redis", free_port())
        settings.REDIS_URL = url
        # The router's facts for its nodes: a network, and the file of model 1.
        settings.DEPLOYMENT_FILE = tmp_path / "deployment.json"
        Deployment(31337, 0, {"NodePool": POOL.contract}).save(settings.DEPLOYMENT_FILE)
        settings.MODELS = {1: str(model_path)}
        yield url


@pytest.fixture
def router(servers: str, tmp_path: Path, model_path: Path) -> Iterator[Router]:
    router = Router(servers, tmp_path / "home", model_path)
    yield router
    if router.process is not None and router.process.poll() is None:
        router.process.kill()
        router.process.wait()
    router.celery.close()
    router.redis.close()
