"""A miner's process does network tasks beside its jobs, with the rights of its Redis user."""

from typing import Any

from mining.node.network.job import (
    NETWORK_REPORTS,
    NetworkCommitReport,
    NetworkDeclinedReport,
    NetworkPingReport,
    NetworkPrecommitReport,
    NetworkReport,
)
from mining.node.protocol.names import NETWORK, NETWORK_QUEUE
from mining.node.protocol.wire import read_entry
from tests.anvil import Chain
from tests.node.network.conftest import job
from tests.node.router import Router


def network_reports(router: Router) -> list[NetworkReport]:
    entries: list[Any] = [entry for _, entry in router.redis.xrange(router.prefix + "reports")]
    return [
        read_entry(entry, NETWORK_REPORTS) for entry in entries if entry["type"] in NETWORK_REPORTS
    ]


def test_a_miner_pings_and_answers_and_reveals_after_it_was_killed(router: Router) -> None:
    router.start()
    router.send(NETWORK, NETWORK_QUEUE, job=job("ping"))
    router.send(NETWORK, NETWORK_QUEUE, job=job("complete", prompt="What is 2 + 2?"))
    router.until(lambda: len(network_reports(router)) == 2)
    router.end(9)
    router.start()
    router.send(NETWORK, NETWORK_QUEUE, job=job("reveal"))
    router.until(lambda: len(network_reports(router)) == 3)
    kinds = {type(report): report for report in network_reports(router)}
    assert set(kinds) == {NetworkPingReport, NetworkPrecommitReport, NetworkCommitReport}
    precommit, commit = kinds[NetworkPrecommitReport], kinds[NetworkCommitReport]
    assert isinstance(precommit, NetworkPrecommitReport)
    assert isinstance(commit, NetworkCommitReport)
    assert commit.hash_of(router.address) == precommit.hash
    assert router.end() == 0
    refused = {entry["object"] for entry in router.redis.acl_log()}
    assert refused <= {"client"}, "the miner's own software tried what its user may not"


def test_a_miner_with_a_chain_signs_only_for_the_contract_that_its_owner_named(
    router: Router, chain: Chain
) -> None:
    cognitive = chain.contract("Cognitive").address
    router.environment |= {"RPC_URL": chain.url, "COGNITIVE_ADDRESS": cognitive}
    router.start()
    ours = {"contract": cognitive, "chain_id": chain.deployment.chain_id}
    router.send(NETWORK, NETWORK_QUEUE, job=job("ping", **ours))
    router.until(lambda: len(network_reports(router)) == 1)
    router.send(NETWORK, NETWORK_QUEUE, job=job("ping"))
    router.send(NETWORK, NETWORK_QUEUE, job=job("complete", prompt="What is 2 + 2?", **ours))
    router.until(lambda: len(network_reports(router)) == 3)
    signed, *declined = network_reports(router)
    assert isinstance(signed, NetworkPingReport)
    assert all(isinstance(report, NetworkDeclinedReport) for report in declined)
    assert {report.code for report in declined if isinstance(report, NetworkDeclinedReport)} == {
        "job_refused"
    }


def test_a_miner_with_a_chain_that_names_no_contract_takes_no_part(
    router: Router, chain: Chain
) -> None:
    router.environment |= {"RPC_URL": chain.url}
    router.start()
    router.send(NETWORK, NETWORK_QUEUE, job=job("ping"))
    router.until(lambda: router.redis.llen(router.prefix + NETWORK_QUEUE) == 0)
    assert router.end() == 0
    assert network_reports(router) == []
