"""A miner's process on its own mailbox, in a Redis that lets it see nothing else."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis
from celery import Celery

from chain.contracts import Deployment
from chain.messages import Heartbeat, recover
from chain.params import MAX_TIMEOUT_S
from cortensor_site.stack.embedded import start_redis
from mining.enrolment import enrol
from mining.node.cli import TRY_LATER
from mining.node.heart import MAILBOX_CLOSED
from mining.node.job import (
    AckReport,
    CommitReport,
    FailedReport,
    HeartbeatReport,
    PrecommitReport,
    Report,
    read_report,
)
from mining.node.wallet import Wallet
from mining.node.worker import CANCEL, INFER, REVEAL, VISIBILITY_TIMEOUT_S
from tests.node import tiny_model
from tests.node.test_miner import POOL, new_job
from tests.tls import CERTIFICATE, tls_before

TIMEOUT_S = 20.0


class Router:
    """The other side of a miner's mailbox, and the miner's process."""

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
        """Run another command of the miner's."""
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
    """A Redis of this test's own, since it changes users and restarts."""
    with ExitStack() as stack:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        url = start_redis(stack, tmp_path / "redis", port)
        settings.REDIS_URL = url
        # What the router tells its nodes of: a network, and the file that it calls model 1.
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


def test_a_miner_works_within_its_mailbox_and_ends_cleanly(router: Router) -> None:
    router.redis.set("secret", "of another")
    router.start()
    job = new_job()
    router.send(INFER, "inference", job=job)
    router.until(lambda: router.of(PrecommitReport))
    router.send(REVEAL, "control", job["assignment_id"])
    router.until(lambda: router.of(CommitReport))
    assert router.stream(job)[-1]["done"] == "1"

    status = router.command("status")
    told = json.loads(status.stdout)
    assert status.returncode == 0
    assert told["alive"] is True
    assert told["address"] == router.address
    assert told["heartbeat"]["slots"] == 2
    assert told["waiting"] == {"inference": 0, "control": 0}
    beat = router.of(HeartbeatReport)[-1]
    assert recover(Heartbeat(router.address, beat.status), POOL, beat.signature) == router.address

    assert router.end() == 0
    strangers = [key for key in router.redis.scan_iter() if not key.startswith(router.prefix)]
    assert strangers == ["secret"]
    refused = {entry["object"] for entry in router.redis.acl_log()}
    assert refused <= {"client"}, "the miner's own software tried what its user may not"


def test_control_is_not_kept_waiting_by_generations(router: Router) -> None:
    router.start()
    jobs = [new_job(max_tokens=480) for _ in range(6)]
    for job in jobs:
        router.send(INFER, "inference", job=job)
    later = new_job()
    router.send(CANCEL, "control", later["assignment_id"])
    router.send(INFER, "inference", job=later)
    router.until(lambda: router.stream(later))
    assert router.stream(later) == [{"failed": "cancelled"}]
    router.until(lambda: all(router.stream(job) for job in jobs))


def test_a_miner_finishes_what_it_started_before_it_ends(router: Router) -> None:
    router.start()
    job = new_job(max_tokens=480)
    router.send(INFER, "inference", job=job)
    router.until(lambda: router.stream(job))
    assert router.process is not None
    router.process.send_signal(signal.SIGTERM)
    router.until(lambda: router.of(HeartbeatReport)[-1].read().draining)
    assert router.process.wait(TIMEOUT_S) == 0
    assert router.of(PrecommitReport)
    assert router.redis.hlen(router.prefix + "unacked") == 0


def test_what_a_miner_has_not_begun_it_hands_back_before_it_ends(router: Router) -> None:
    router.start()
    # Seconds of work, and more than there are slots.
    jobs = [new_job(max_tokens=480) for _ in range(40)]
    for job in jobs:
        router.send(INFER, "inference", job=job)
    router.until(lambda: any(router.stream(job) for job in jobs))
    assert router.end() == 0
    done = {report.assignment_id for report in router.of(PrecommitReport)}
    handed_back = {r.assignment_id for r in router.of(FailedReport) if r.code == "draining"}
    assert done
    assert handed_back
    assert done.isdisjoint(handed_back)
    assert done | handed_back == {job["assignment_id"] for job in jobs}
    assert router.redis.llen(router.prefix + "inference") == 0


def test_a_job_names_its_model_and_another_makes_room_for_it(router: Router) -> None:
    shipped = Path("mining/node/models/cortensor-micro.gguf")
    home = str(router.home)
    assert router.command("models", "add", "1", router.environment.pop("MODEL")).returncode == 0
    assert router.command("models", "add", "2", str(shipped)).returncode == 0
    router.environment["MODELS"] = "all"
    refused = router.command("--home", home, "run", "--memory-budget", "4M")
    assert refused.returncode == 2
    assert "MEMORY_BUDGET: model 1 takes about" in refused.stderr
    assert "Traceback" not in refused.stderr

    router.environment["MEMORY_BUDGET"] = "10MiB"
    router.start()
    beat = router.of(HeartbeatReport)[-1].read()
    assert (beat.models, list(beat.loaded)) == ([1, 2], [1])
    jobs = [new_job(model_identifier=number) for number in (2, 1, 2, 3)]
    for number, job in enumerate(jobs[:3], start=1):
        router.send(INFER, "inference", job=job)
        router.until(lambda number=number: len(router.of(PrecommitReport)) == number)
    router.send(INFER, "inference", job=jobs[3])
    router.until(lambda: router.of(FailedReport))
    assert [report.code for report in router.of(FailedReport)] == ["model_unknown"]
    assert "model 1 is unloaded" in router.log.read_text()
    router.until(lambda: list(router.of(HeartbeatReport)[-1].read().loaded) == [2])
    assert router.end() == 0


def test_a_miner_without_the_networks_file_of_a_model_does_not_start(router: Router) -> None:
    other = tiny_model.write(router.home / "other.gguf", seed=2)
    ended = router.command("run", "--model", str(other))
    assert ended.returncode == 2
    assert "it is another file, or it was cut short" in ended.stderr

    router.environment |= {"MODEL": str(other), "MODEL_UNVERIFIED": "1"}
    router.start()
    assert router.end() == 0


def test_a_mailbox_that_says_nothing_of_its_network_is_told_of(router: Router) -> None:
    router.redis.delete(router.prefix + "network")
    ended = router.command("run")
    assert ended.returncode == 2
    assert "enrol the node again" in ended.stderr


def test_a_killed_miner_reveals_what_it_had_precommitted(router: Router) -> None:
    router.start()
    job = new_job()
    router.send(INFER, "inference", job=job)
    router.until(lambda: router.of(PrecommitReport))
    router.end(signal.SIGKILL)
    router.start()
    router.send(INFER, "inference", job=job)
    router.until(lambda: len(router.of(PrecommitReport)) == 2)
    first, second = router.of(PrecommitReport)
    assert first == second


def test_what_a_killed_miner_was_at_it_takes_up_again_at_once(router: Router) -> None:
    router.start()
    job = new_job(max_tokens=480)
    router.send(INFER, "inference", job=job)
    router.until(lambda: router.stream(job))
    router.end(signal.SIGKILL)
    assert not router.of(PrecommitReport), "it was done before it was killed"
    assert router.redis.hlen(router.prefix + "unacked") == 1
    router.start()
    router.until(lambda: router.of(PrecommitReport))
    assert router.of(FailedReport) == []
    assert router.stream(job)[-1]["done"] == "1"
    router.until(lambda: not router.redis.hlen(router.prefix + "unacked"))
    assert router.end() == 0


def test_a_delivery_that_comes_again_while_the_first_still_runs_changes_nothing(
    router: Router,
) -> None:
    """As after the visibility timeout: Redis puts the message back, though somebody has it."""
    router.start()
    job = new_job(max_tokens=480)
    router.send(INFER, "inference", job=job)
    router.until(lambda: router.stream(job))
    [unacked] = router.redis.hvals(router.prefix + "unacked")
    message, _, _ = json.loads(unacked)
    for _ in range(3):
        router.redis.rpush(router.prefix + "inference", json.dumps(message))
    router.until(lambda: router.of(PrecommitReport))
    router.until(lambda: not router.redis.llen(router.prefix + "inference"))
    assert router.end() == 0
    assert len(router.of(AckReport)) == 1
    assert len({report.hash for report in router.of(PrecommitReport)}) == 1
    assert router.of(FailedReport) == []
    assert VISIBILITY_TIMEOUT_S > MAX_TIMEOUT_S


def test_two_processes_do_not_work_with_one_key(router: Router) -> None:
    router.start()
    ended = router.command("run")
    assert ended.returncode == 2
    assert "a node runs in" in ended.stderr
    assert router.end() == 0
    assert router.command("run", "--model", "/nowhere.gguf").stderr.count("there is no file") == 1


def test_a_miner_whose_mailbox_is_closed_to_it_ends_to_be_started_again(router: Router) -> None:
    router.start()
    enrol(router.address)  # which changes the password, and cuts the connections
    assert router.process is not None
    assert router.process.wait(TIMEOUT_S) == MAILBOX_CLOSED


def test_a_miner_hears_again_after_its_connections_were_cut(router: Router) -> None:
    router.start()
    user = urlsplit(router.miner_url).username
    for _ in range(2):
        router.redis.execute_command("CLIENT", "KILL", "USER", user)
        time.sleep(0.5)
    job = new_job()
    router.send(INFER, "inference", job=job)
    router.until(lambda: router.of(PrecommitReport))
    assert router.end() == 0


def test_a_miner_that_redis_refuses_ends_with_an_error(router: Router) -> None:
    password = urlsplit(router.miner_url).password
    assert password is not None
    enrol(router.address)  # which changes the password
    ended = router.command("run")
    assert ended.returncode == 2
    assert "password" in ended.stderr
    assert password not in ended.stderr + ended.stdout


@pytest.fixture
def across_a_network(router: Router) -> Iterator[Router]:
    """The router's Redis behind TLS, where nodes of other machines find it."""
    parts = urlsplit(router.miner_url)
    assert parts.port is not None
    with tls_before(parts.port) as port:
        at = parts.netloc.rpartition("@")[0] + f"@127.0.0.1:{port}"
        router.environment["REDIS_URL"] = urlunsplit(parts._replace(scheme="rediss", netloc=at))
        router.environment["REDIS_CA_FILE"] = str(CERTIFICATE)
        yield router


def test_a_miner_works_across_tls(across_a_network: Router) -> None:
    router = across_a_network
    router.start()
    job = new_job()
    router.send(INFER, "inference", job=job)
    router.until(lambda: router.of(PrecommitReport))
    router.send(REVEAL, "control", job["assignment_id"])
    router.until(lambda: router.of(CommitReport))
    assert router.stream(job)[-1]["done"] == "1"
    assert router.end() == 0


def test_a_mailbox_whose_certificate_is_not_trusted_gets_no_password(
    across_a_network: Router,
) -> None:
    router = across_a_network
    password = urlsplit(router.miner_url).password
    url = router.environment["REDIS_URL"]
    del router.environment["REDIS_CA_FILE"]
    # Whatever the URL says of it, the server has to prove itself.
    for told in (url, url + "?ssl_cert_reqs=none"):
        router.environment["REDIS_URL"] = told
        ended = router.command("run")
        assert ended.returncode == TRY_LATER
        assert "certificate verify failed" in ended.stderr
        assert str(password) not in ended.stderr


def test_a_mailbox_with_the_certificate_of_another_host_is_refused(
    across_a_network: Router,
) -> None:
    router = across_a_network
    router.environment["REDIS_URL"] = router.environment["REDIS_URL"].replace(
        "@127.0.0.1:", "@127.0.0.2:"
    )
    ended = router.command("run")
    assert ended.returncode == TRY_LATER
    assert "certificate verify failed: IP address mismatch" in ended.stderr


def test_what_is_no_job_is_dropped_and_the_next_one_done(router: Router) -> None:
    router.start()
    router.send(INFER, "inference", job=new_job(assignment_id="../" + str(uuid.uuid4())))
    router.send(INFER, "inference", "too", "many")
    router.send("mining.node.unheard_of", "inference")
    job = new_job()
    router.send(INFER, "inference", job=job)
    router.until(lambda: router.of(PrecommitReport))
    (precommit,) = router.of(PrecommitReport)
    assert precommit.assignment_id == job["assignment_id"]
    assert router.end() == 0
