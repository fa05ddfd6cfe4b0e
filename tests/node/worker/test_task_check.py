"""A miner checks a job against a real chain before it runs the job."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mining.node.account.evm import CallReverted, ChainUnavailable, Rpc
from mining.node.config import Terms
from mining.node.protocol.job import Job
from mining.node.protocol.reports import FailedReport
from mining.node.shelf.shelf import Shelf
from mining.node.worker.task_check import JobRefused, TaskCheck
from tests.anvil import CLIENT, MODEL, PRICE, ROUTER, Chain, account
from tests.node.bench import Bench, new_job

MINER, OTHER = account("checking miner"), account("other miner")
MAX_TOKENS = 16


class Network:
    """A session on the chain, and jobs of it."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        for miner in (MINER, OTHER):
            chain.register_miner(miner)
        self.session_id = chain.open_session()
        self.queue = chain.contract("SessionQueue")
        self.rpc = Rpc(chain.url)

    def submit(self) -> None:
        submit = self.chain.contract("Session").functions.submit
        call = submit(self.session_id, 0, "hi", 1, "", [MAX_TOKENS, 0, 100, 0, 0, 0], [60], "")
        self.chain.transact(CLIENT, call)

    def assign(self, *miners: Any) -> None:
        addresses = [miner.address for miner in miners]
        call = self.queue.functions.assignTask(self.session_id, 0, addresses, MODEL)
        self.chain.transact(ROUTER, call)

    def job(self, **changes: Any) -> Job:
        digest = self.queue.functions.taskDigestOf(self.session_id, 0).call()
        values = {
            "session_id": self.session_id,
            "task_id": 0,
            "task_digest": "0x" + digest.hex(),
            "chain_id": self.chain.deployment.chain_id,
            "queue_address": self.queue.address,
            "model_identifier": MODEL,
            "max_tokens": MAX_TOKENS,
        }
        return Job.from_json(new_job(**{**values, **changes}))

    def check(self, **terms: int) -> TaskCheck:
        return TaskCheck(self.rpc, self.queue.address, MINER.address, Terms(**terms))


@pytest.fixture
def network(chain: Chain, db: Any) -> Iterator[Network]:
    network = Network(chain)
    yield network
    network.rpc.close()


def test_a_real_task_at_a_good_price_is_worked_on(network: Network) -> None:
    network.submit()
    network.assign(MINER)
    network.check(output_price_wei=PRICE.output_wei).require(network.job(), wait_s=0)


def test_a_task_that_is_not_mined_yet_is_waited_for(network: Network) -> None:
    network.submit()
    job = network.job()
    later = threading.Thread(target=lambda: (time.sleep(0.6), network.assign(MINER)))
    later.start()
    network.check().require(job, wait_s=10)
    later.join()


def test_a_task_that_the_router_made_up_is_refused(network: Network) -> None:
    network.submit()
    network.assign(MINER)
    check = network.check()
    with pytest.raises(JobRefused, match="has not assigned"):
        check.require(network.job(task_id=1_000_000), wait_s=0.3)
    with pytest.raises(JobRefused, match="task_digest"):
        check.require(network.job(task_digest="0x" + "11" * 32), wait_s=0)
    with pytest.raises(JobRefused, match="queue_address"):
        check.require(network.job(queue_address="0x" + "22" * 20), wait_s=0)
    with pytest.raises(JobRefused, match="chain"):
        check.require(network.job(chain_id=1), wait_s=0)


def test_a_task_of_another_miner_is_refused(network: Network) -> None:
    network.submit()
    network.assign(OTHER)
    with pytest.raises(JobRefused, match="has not assigned"):
        network.check().require(network.job(), wait_s=0.3)


def test_a_price_below_this_nodes_is_refused(network: Network) -> None:
    network.submit()
    network.assign(MINER)
    with pytest.raises(JobRefused, match="output token"):
        network.check(output_price_wei=PRICE.output_wei + 1).require(network.job(), wait_s=0)
    with pytest.raises(JobRefused, match="are reserved"):
        network.check().require(network.job(max_tokens=MAX_TOKENS * 1000), wait_s=0)
    with pytest.raises(JobRefused, match="pays for model 1"):
        network.check().require(network.job(model_identifier=2), wait_s=0)


@pytest.mark.parametrize(
    ("assigned", "lie", "said"),
    [
        (OTHER, {}, "has not assigned it to this node"),
        (MINER, {"task_digest": "0x" + "11" * 32}, "task_digest: the chain has"),
        (MINER, {"max_tokens": MAX_TOKENS * 20}, "wei are reserved for the task"),
        (MINER, {}, "this node works for"),
    ],
    ids=["for another miner", "not the task", "not reserved", "price"],
)
def test_a_miner_tells_the_router_and_its_owner_why_it_refuses(
    network: Network,
    shelf: Shelf,
    redis_url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    assigned: Any,
    lie: dict[str, Any],
    said: str,
) -> None:
    bench = Bench(redis_url, shelf, tmp_path)
    dear = {} if lie or assigned is OTHER else {"output_price_wei": PRICE.output_wei + 1}
    bench.check = network.check(**dear)
    network.submit()
    network.assign(assigned)
    job = network.job(deadline_at=time.time() + 1.5, **lie).to_json()
    bench.restarted().infer(job)
    [report] = bench.reports()
    assert isinstance(report, FailedReport)
    assert report.code == "job_refused"
    assert said in report.message
    assert report.message in caplog.text
    assert bench.stream(job) == [{"failed": "job_refused"}]


def test_a_chain_that_does_not_answer_is_named(network: Network) -> None:
    with pytest.raises(ChainUnavailable, match="RPC_URL"):
        Rpc("http://127.0.0.1:1").chain_id()
    with pytest.raises(CallReverted):
        network.rpc.call(MINER.address, "payment()", [], ["address"])
