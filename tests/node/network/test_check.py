"""A node checks its part in a network task against a real chain before it signs."""

from dataclasses import replace
from typing import Any

import pytest

from chain.protocol.network_messages import NetworkCreate
from mining.node.account.evm import Rpc
from mining.node.network.check import NetworkCheck
from mining.node.network.job import NetworkJob, Stage
from mining.node.worker.task_check import JobRefused
from tests.anvil import ROUTER, Chain
from tests.chain.protocol.test_network_messages import NODES, Round

FOREIGN = "0x" + "99" * 20


class Asked:
    """A request on the chain whose creator is known, and checks of everybody."""

    def __init__(self, chain: Chain) -> None:
        self.round = Round(chain)
        self.chain = chain
        cognitive = self.round.cognitive.functions
        for node in NODES.values():
            chain.rpc("anvil_setBalance", node.address, hex(10**18))
            chain.transact(node, cognitive.ping())
        chain.rpc("evm_increaseTime", 2)
        chain.transact(ROUTER, cognitive.request())
        chain.mine()
        chain.transact(ROUTER, cognitive.requestNextCreator())
        *_, self.seed, _, creators = cognitive.getRequest(1).call()
        self.creator = creators[0]
        self.others = [node for node in NODES if node != self.creator]

    def job(self, stage: Stage, **changes: Any) -> NetworkJob:
        job = NetworkJob(
            stage=stage,
            chain_id=self.chain.deployment.chain_id,
            contract=self.round.cognitive.address,
            number=1,
            seed=self.seed,
            deadline_at=1e10,
        )
        return replace(job, **changes)

    def require(self, node: str, job: NetworkJob) -> None:
        NetworkCheck(Rpc(self.chain.url), self.round.cognitive.address, node).require(job)

    def refuses(self, node: str, job: NetworkJob) -> None:
        with pytest.raises(JobRefused):
            self.require(node, job)

    def create(self) -> Any:
        message = NetworkCreate(1, self.seed, "arithmetic", "addition")
        signature = self.round.sign(message, NODES[self.creator])
        call = self.round.cognitive.functions.relayCreate("arithmetic", "addition", signature)
        self.chain.transact(ROUTER, call)
        return self.round.session()


@pytest.fixture
def asked(chain: Chain) -> Asked:
    return Asked(chain)


def test_only_the_creator_whose_turn_it_is_signs_a_block(asked: Asked) -> None:
    asked.require(asked.creator, asked.job(Stage.CREATE))
    asked.refuses(asked.others[0], asked.job(Stage.CREATE))
    asked.refuses(asked.creator, asked.job(Stage.CREATE, seed=asked.seed ^ 1))
    asked.refuses(asked.creator, asked.job(Stage.CREATE, number=2))
    asked.create()
    asked.refuses(asked.creator, asked.job(Stage.CREATE))


def test_another_contract_is_not_worked_for(asked: Asked) -> None:
    asked.require(asked.creator, asked.job(Stage.PING))
    asked.refuses(asked.creator, asked.job(Stage.PING, contract=FOREIGN))
    asked.refuses(asked.creator, asked.job(Stage.PING, chain_id=1))


def test_a_preparer_writes_on_the_subject_that_the_chain_has(asked: Asked) -> None:
    asked.refuses(asked.creator, asked.job(Stage.PREPARE))
    shown = asked.create()
    preparer, later = shown[13][0], shown[13][1]
    job = asked.job(Stage.PREPARE, domain="arithmetic", subdomain="addition")
    asked.require(preparer, job)
    asked.refuses(later, job)
    asked.refuses(preparer, replace(job, subdomain="subtraction"))


def test_a_completer_answers_the_prompt_that_was_drawn_and_reveals_when_all_have(
    asked: Asked,
) -> None:
    shown = asked.create()
    functions = asked.round.cognitive.functions
    for preparer in shown[13][:2]:
        call = functions.prepare(1, ["What is 2 + 2?"], b"", 0)
        asked.chain.transact(NODES[preparer], call)
    asked.chain.transact(ROUTER, functions.start(1))
    node = asked.others[0]
    asked.require(node, asked.job(Stage.COMPLETE, prompt="What is 2 + 2?"))
    asked.refuses(node, asked.job(Stage.COMPLETE, prompt="What is 2 + 3?"))
    asked.refuses(FOREIGN, asked.job(Stage.COMPLETE, prompt="What is 2 + 2?"))
    asked.refuses(node, asked.job(Stage.REVEAL))
    for completer in NODES.values():
        asked.chain.transact(completer, functions.precommit(1, b"\x01" * 32, b"", 0))
    asked.require(node, asked.job(Stage.REVEAL))
    asked.refuses(node, asked.job(Stage.COMPLETE, prompt="What is 2 + 2?"))
