"""Messages of network tasks are signed and sent as the contract itself reads them."""

from dataclasses import replace
from typing import Any

import pytest
from eth_abi import encode
from eth_account.signers.local import LocalAccount
from eth_utils import keccak

from chain import network_operations as operations
from chain.operations import Op
from chain.protocol.messages import SigningDomain, recover, sign, signable
from chain.protocol.network_messages import (
    NetworkCommit,
    NetworkCreate,
    NetworkMessage,
    NetworkPrecommit,
    NetworkPrepare,
    NetworkVerdict,
    Ping,
    completion_hash,
)
from chain.sending.batches import BASE_GAS
from chain.sending.calls import RELAYS, calldata
from chain.sending.refusals import skipped_in
from tests.anvil import DEPLOYER, ORACLE, ROUTER, VALIDATOR, Chain, account

NODES = {account(f"idle node {n}").address: account(f"idle node {n}") for n in range(5)}
SEED = 2**255 + 7
DOMAIN = SigningDomain(31337, "0x00000000000000000000000000000000000000A1")
MESSAGES: list[NetworkMessage] = [
    Ping(next(iter(NODES)), 1_700_000_000),
    NetworkCreate(1, SEED, "arithmetic", "addition"),
    NetworkPrepare(1, SEED, ("What is 2 + 2?", "Grüße?")),
    NetworkPrecommit(1, SEED, keccak(text="completion")),
    NetworkCommit(1, SEED, "2 + 2 = 4.", SEED),
    NetworkVerdict(1, SEED, (10_000, 0)),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_signature_recovers_to_its_signer_and_to_nobody_else_elsewhere(
    message: NetworkMessage,
) -> None:
    [(address, key), *_] = NODES.items()
    signature = sign(message, DOMAIN, bytes(key.key))
    assert recover(message, DOMAIN, signature) == address
    assert recover(message, replace(DOMAIN, chain_id=1), signature) != address


def test_lists_and_texts_are_hashed_as_eip_712_says() -> None:
    typed = keccak(text="NetworkPrepare(uint256 id,uint256 seed,string[] challenges)")
    texts = keccak(keccak(text="What is 2 + 2?") + keccak(text="Grüße?"))
    expected = keccak(encode(["bytes32", "uint256", "uint256", "bytes32"], [typed, 1, SEED, texts]))
    assert signable(MESSAGES[2], DOMAIN).body == expected


class Round:
    """A network of idle nodes on the chain, and a relayer that sends operations."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.cognitive = chain.contract("Cognitive")
        self.domain = SigningDomain(chain.deployment.chain_id, self.cognitive.address)
        for node in NODES.values():
            chain.register_miner(node)

    def sign(self, message: NetworkMessage, signer: LocalAccount) -> bytes:
        return sign(message, self.domain, bytes(signer.key))

    def relay(self, *ops: Op) -> Any:
        """Send operations of one kind as the sender does, with its gas limit."""
        relay = RELAYS[ops[0].kind]
        contract = self.chain.contract(relay.contract)
        data = calldata(ops[0].kind, [op.payload for op in ops])
        receipt = self.chain.send(ROUTER, contract.address, data)
        assert receipt["status"] == 1
        assert receipt["gasUsed"] < BASE_GAS + sum(relay.gas(op.payload) for op in ops)
        plain = {"logs": [_plain(log) for log in receipt["logs"]]}
        assert skipped_in(plain, relay.contract, contract.address) == {}
        return receipt

    def now(self) -> int:
        return int(self.chain.w3.eth.get_block("latest")["timestamp"])

    def session(self) -> Any:
        return self.cognitive.functions.get(self.cognitive.functions.sessionCounter().call()).call()


def _plain(log: Any) -> dict[str, Any]:
    return {
        "address": log["address"],
        "topics": ["0x" + topic.hex() for topic in log["topics"]],
        "data": "0x" + log["data"].hex(),
    }


@pytest.fixture
def a_round(chain: Chain) -> Round:
    return Round(chain)


def test_the_contract_takes_a_whole_round_of_relayed_operations(a_round: Round) -> None:
    chain, functions = a_round.chain, a_round.cognitive.functions
    pings = [Ping(node, a_round.now()) for node in NODES]
    a_round.relay(
        *(operations.relay_ping(p, a_round.sign(p, NODES[p.node])) for p in pings),
    )
    chain.rpc("evm_increaseTime", 2)
    a_round.relay(operations.request_network_task(1))
    draw_block = functions.getRequest(1).call()[4]
    chain.mine()
    a_round.relay(operations.next_network_creator(1, 0, draw_block))
    *_, seed, _, creators = functions.getRequest(1).call()

    create = NetworkCreate(1, seed, "arithmetic", "addition")
    a_round.relay(operations.create_network_task(create, a_round.sign(create, NODES[creators[0]])))
    for _ in range(2):
        shown = a_round.session()
        preparer = shown[13][shown[14]]
        prepare = NetworkPrepare(1, seed, ("What is 2 + 2?", "What is 3 + 4?"))
        signature = a_round.sign(prepare, NODES[preparer])
        a_round.relay(operations.prepare_network_task(prepare, preparer, signature))
    a_round.relay(operations.start_network_task(1, seed))

    miners = a_round.session()[8]
    assert sorted(miners) == sorted(NODES)
    salts = {miner: SEED + n for n, miner in enumerate(miners)}
    ops = []
    for miner in miners:
        hashed = completion_hash(1, seed, miner, "four", salts[miner])
        assert hashed == functions.completionHash(1, miner, "four", salts[miner]).call()
        precommit = NetworkPrecommit(1, seed, hashed)
        ops.append(
            operations.network_precommit(precommit, miner, a_round.sign(precommit, NODES[miner]))
        )
    a_round.relay(*ops)
    ops = []
    for miner in miners:
        commit = NetworkCommit(1, seed, "four", salts[miner])
        ops.append(operations.network_commit(commit, miner, a_round.sign(commit, NODES[miner])))
    a_round.relay(*ops)

    verdict = NetworkVerdict(1, seed, (10_000, 9_000, 0, 10_000, 10_000))
    a_round.relay(operations.judge_network_task(verdict, a_round.sign(verdict, VALIDATOR)))
    assert functions.getSessionState(1).call() == 6
    assert functions.getAccuracies(1).call() == [10_000, 9_000, 0, 10_000, 10_000]


def test_a_late_stage_is_forced_on_and_a_reward_is_claimed_for_a_node(a_round: Round) -> None:
    chain, functions = a_round.chain, a_round.cognitive.functions
    pings = [Ping(node, a_round.now()) for node in NODES]
    a_round.relay(
        *(operations.relay_ping(p, a_round.sign(p, NODES[p.node])) for p in pings),
    )
    chain.rpc("evm_increaseTime", 2)
    a_round.relay(operations.request_network_task(1))
    chain.mine()
    a_round.relay(operations.next_network_creator(1, 0, 1))
    *_, seed, _, creators = functions.getRequest(1).call()
    chain.rpc("evm_increaseTime", 61)
    a_round.relay(operations.next_network_creator(1, 0, 0))
    create = NetworkCreate(1, seed, "words", "spelling")
    a_round.relay(operations.create_network_task(create, a_round.sign(create, NODES[creators[1]])))
    chain.rpc("evm_increaseTime", 91)
    a_round.relay(operations.force_network_task(1, seed, "1:0"))
    assert a_round.session()[14] == 1

    rewards = chain.contract("NetworkRewards").functions
    epoch = rewards.currentEpoch().call()
    node = next(iter(NODES))
    module = keccak(text="MODULE_ROLE")
    roles = chain.contract("Roles")
    chain.transact(DEPLOYER, roles.functions.grantRole(module, ORACLE.address))
    chain.transact(ORACLE, chain.contract("NetworkRewards").functions.credit([(node, 7)]))
    chain.rpc("evm_increaseTime", rewards.epochSeconds().call())
    a_round.relay(operations.claim_network_reward(node, epoch))
    assert rewards.pointsOf(epoch, node).call() == 0
