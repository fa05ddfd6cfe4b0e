"""An idle node's parts in network tasks, with a real engine and a real mailbox."""

import threading
import time

import pytest

from chain.protocol.messages import SigningDomain, recover
from chain.protocol.network_messages import (
    NetworkCommit,
    NetworkCreate,
    NetworkMessage,
    NetworkPrecommit,
    NetworkPrepare,
    Ping,
)
from mining.node.engine.batch_engine import Engine
from mining.node.engine.generation import GenerationRequest
from mining.node.network.check import NetworkCheck
from mining.node.network.job import (
    NetworkCommitReport,
    NetworkCreateReport,
    NetworkDeclinedReport,
    NetworkPingReport,
    NetworkPrecommitReport,
    NetworkPrepareReport,
    NetworkReport,
)
from mining.node.shelf.shelf import Shelf, ShelvedModel
from tests.node.network.conftest import CHAIN_ID, COGNITIVE, SEED, IdleNode, job

DOMAIN = SigningDomain(CHAIN_ID, COGNITIVE)


def signer(message: NetworkMessage, report: NetworkReport) -> str:
    assert not isinstance(report, NetworkDeclinedReport)
    return recover(message, DOMAIN, report.signature)


def test_a_ping_is_signed_for_the_contract_and_for_now(node: IdleNode) -> None:
    node.duties.do(job("ping", number=0, seed=0))
    [report] = node.reports()
    assert isinstance(report, NetworkPingReport)
    assert signer(Ping(node.address, report.time), report) == node.address
    assert 0 <= time.time() - report.time < 15


def test_a_creator_takes_the_subject_from_the_seed(node: IdleNode) -> None:
    for _ in range(2):
        node.duties.do(job("create"))
    first, second = node.reports()
    assert first == second
    assert isinstance(first, NetworkCreateReport)
    create = NetworkCreate(3, SEED, first.domain, first.subdomain)
    assert signer(create, first) == node.address


def test_a_preparer_writes_as_many_questions_as_wanted(node: IdleNode) -> None:
    node.duties.do(job("prepare", domain="arithmetic", subdomain="addition", challenges=2))
    [report] = node.reports()
    assert isinstance(report, NetworkPrepareReport)
    assert len(set(report.challenges)) == 2
    assert all(" + " in text for text in report.challenges)
    prepare = NetworkPrepare(3, SEED, tuple(report.challenges))
    assert signer(prepare, report) == node.address


def test_a_completer_precommits_and_then_reveals_what_it_precommitted(node: IdleNode) -> None:
    node.duties.do(job("complete", prompt="What is 2 + 2?"))
    node.duties.do(job("reveal"))
    precommit, commit = node.reports()
    assert isinstance(precommit, NetworkPrecommitReport)
    assert isinstance(commit, NetworkCommitReport)
    assert commit.hash_of(node.address) == precommit.hash
    assert signer(NetworkPrecommit(3, SEED, precommit.hash), precommit) == node.address
    revealed = NetworkCommit(3, SEED, commit.completion, commit.salt)
    assert signer(revealed, commit) == node.address


def test_a_completer_that_is_asked_again_after_a_restart_gives_the_same_hash(
    node: IdleNode,
) -> None:
    node.duties.do(job("complete", prompt="What is 2 + 2?"))
    node.restarted().do(job("complete", prompt="What is 2 + 2?"))
    first, second = node.reports()
    assert first == second


def test_two_completers_agree_token_for_token_and_hide_it(
    redis_url: str, engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    hashes, texts = set(), set()
    for name in ("one", "two"):
        node = IdleNode(redis_url, engine, tmp_path_factory.mktemp(name))
        node.duties.do(job("complete", prompt="What is 2 + 2?"))
        node.duties.do(job("reveal"))
        precommit, commit = node.reports()
        assert isinstance(precommit, NetworkPrecommitReport)
        assert isinstance(commit, NetworkCommitReport)
        hashes.add(precommit.hash)
        texts.add(commit.completion)
    assert (len(hashes), len(texts)) == (2, 1)


def test_a_node_that_works_on_users_tasks_declines(node: IdleNode) -> None:
    node.busy = True
    node.duties.do(job("complete", prompt="What is 2 + 2?"))
    [report] = node.reports()
    assert isinstance(report, NetworkDeclinedReport)
    assert report.code == "busy"
    node.busy = False
    node.duties.do(job("complete", prompt="What is 2 + 2?"))
    assert isinstance(node.reports()[-1], NetworkPrecommitReport)


def test_a_users_task_that_comes_ends_an_answer_between_two_tokens(
    node: IdleNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = threading.Event()
    submit = node.engine.submit

    def submitted(request: GenerationRequest) -> object:
        started.set()
        return submit(request)

    monkeypatch.setattr(node.engine, "submit", submitted)
    work = threading.Thread(target=node.duties.do, args=(job("complete", prompt="a " * 150),))
    work.start()
    assert started.wait(10)
    node.busy = True
    work.join(10)
    [report] = node.reports()
    assert isinstance(report, NetworkDeclinedReport)
    assert report.code == "busy"


@pytest.mark.parametrize("stage", ["ping", "create", "prepare", "complete"])
def test_a_node_that_is_about_to_stop_begins_nothing(node: IdleNode, stage: str) -> None:
    node.draining = True
    node.duties.do(job(stage, prompt="What is 2 + 2?"))
    [report] = node.reports()
    assert isinstance(report, NetworkDeclinedReport)
    assert report.code == "draining"


def test_a_node_that_is_about_to_stop_reveals_what_it_has_precommitted(node: IdleNode) -> None:
    node.duties.do(job("complete", prompt="What is 2 + 2?"))
    node.draining = True
    node.duties.do(job("reveal"))
    precommit, commit = node.reports()
    assert isinstance(precommit, NetworkPrecommitReport)
    assert isinstance(commit, NetworkCommitReport)
    assert commit.hash_of(node.address) == precommit.hash


def test_the_model_of_the_lowest_number_answers(node: IdleNode) -> None:
    def other() -> Engine:
        raise AssertionError("the other model was loaded")

    prompts, engine = node.engine.prompts, node.engine
    first = ShelvedModel(1, prompts, 0, lambda: engine)
    node.shelf = Shelf([ShelvedModel(2, prompts, 0, other), first])
    node.restarted().do(job("complete", prompt="What is 2 + 2?"))
    [report] = node.reports()
    assert isinstance(report, NetworkPrecommitReport)
    assert list(node.shelf.speeds()) == [1]


def test_a_node_whose_memory_is_at_work_declines(node: IdleNode) -> None:
    prompts, engine = node.engine.prompts, node.engine
    models = [ShelvedModel(number, prompts, 1, lambda: engine) for number in (1, 2)]
    node.shelf = Shelf(models, budget_bytes=1)
    with node.shelf.take(2, 0):
        node.restarted().do(job("complete", prompt="What is 2 + 2?"))
    [report] = node.reports()
    assert isinstance(report, NetworkDeclinedReport)
    assert report.code == "busy"


def test_a_preparer_that_is_busy_writes_without_the_model(node: IdleNode) -> None:
    node.busy = True
    node.duties.do(job("prepare", domain="language", subdomain="plurals", challenges=2))
    [report] = node.reports()
    assert isinstance(report, NetworkPrepareReport)


def test_what_was_not_precommitted_is_not_revealed(node: IdleNode) -> None:
    node.duties.do(job("reveal"))
    [report] = node.reports()
    assert isinstance(report, NetworkDeclinedReport)
    assert report.code == "no_completion"


def test_a_part_whose_deadline_has_passed_is_declined(node: IdleNode) -> None:
    node.duties.do(job("create", deadline_at=time.time() - 1))
    [report] = node.reports()
    assert isinstance(report, NetworkDeclinedReport)
    assert report.code == "deadline_passed"


@pytest.mark.parametrize(
    "changes", [{"stage": "mint"}, {"seed": -1}, {"number": 2**63}, {"seed": 2**256}]
)
def test_a_malformed_job_is_dropped(node: IdleNode, changes: dict[str, object]) -> None:
    node.duties.do(job("create") | changes)
    assert node.reports() == []


def test_a_node_that_checks_signs_nothing_for_another_chain(node: IdleNode) -> None:
    class OtherChain:
        def chain_id(self) -> int:
            return CHAIN_ID + 1

    check = NetworkCheck(OtherChain(), COGNITIVE, node.address)  # type: ignore[arg-type]
    node.restarted(check).do(job("ping"))
    [report] = node.reports()
    assert isinstance(report, NetworkDeclinedReport)
    assert report.code == "job_refused"
