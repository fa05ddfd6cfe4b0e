"""A real EVM chain for tests: `anvil`, which mines blocks when a test asks for them."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from web3 import Web3
from web3.contract import Contract
from web3.logs import DISCARD
from web3.types import TxReceipt

from chain.deployed.contracts import Deployment, connect, handle
from chain.deployed.deploy import ModelPrice, RoleHolders, deploy
from cortensor_site.stack.servers.embedded import start_anvil
from tests.free_ports import free_port
from tests.money import assert_every_unit_is_accounted_for

MODEL = 1
PRICE = ModelPrice(input_wei=10**12, output_wei=3 * 10**12)


def account(name: str) -> LocalAccount:
    """Return the account that belongs to a name. The same name gives the same account."""
    key = Web3.keccak(text=f"test account {name}")
    made: LocalAccount = Account.from_key(key)
    return made


DEPLOYER, ROUTER, ORACLE, VALIDATOR, CLIENT = (
    account(name) for name in ("deployer", "router", "oracle", "validator", "client")
)
ROLES = RoleHolders(
    router=ROUTER.address,
    oracle=ORACLE.address,
    validator=VALIDATOR.address,
    treasury=DEPLOYER.address,
)


@dataclass(frozen=True)
class Chain:
    """A chain with the deployed contracts, and methods to use it in tests."""

    url: str
    w3: Web3
    deployment: Deployment
    _contracts: dict[str, Contract] = field(default_factory=dict)

    def contract(self, name: str) -> Contract:
        if name not in self._contracts:  # web3 takes 20 ms to create a contract object
            self._contracts[name] = handle(self.w3, self.deployment, name)
        return self._contracts[name]

    def rpc(self, method: str, *params: Any) -> Any:
        """Send a JSON-RPC request, such as one of anvil's own methods, and return its result."""
        answer = self.w3.provider.make_request(method, list(params))  # type: ignore[arg-type]
        assert "error" not in answer, answer
        return answer["result"]

    def mine(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            self.rpc("evm_mine")

    def transact(self, sender: LocalAccount, call: Any) -> TxReceipt:
        """Send a call in a transaction, mine it, and assert that it succeeds."""
        receipt = self.send(sender, call.address, call._encode_transaction_data())
        assert receipt["status"] == 1
        return receipt

    def send(self, sender: LocalAccount, to: str, data: Any) -> TxReceipt:
        """Send a transaction and mine it."""
        w3 = self.w3
        signed = sender.sign_transaction(
            {
                "chainId": self.deployment.chain_id,
                "nonce": w3.eth.get_transaction_count(sender.address, "pending"),
                "to": to_checksum_address(to),
                "data": data,
                "gas": 3_000_000,
                "maxFeePerGas": 10**11,
                "maxPriorityFeePerGas": 10**9,
            }
        )
        tx_hash = w3.eth.send_raw_transaction(signed.raw_transaction)
        self.mine()
        return w3.eth.wait_for_transaction_receipt(tx_hash, timeout=10, poll_latency=0.02)

    def open_session(self, *, redundancy: int = 1, deposit_wei: int = 10**18) -> int:
        """Create a session of CLIENT with a deposit. Return its id."""
        receipt = self.transact(
            CLIENT,
            self.contract("Session").functions.create(
                "test",
                "{}",
                CLIENT.address,
                1,
                redundancy,
                redundancy,
                1,
                0,
                False,
                0,
                MODEL,
                0,
                0,
            ),
        )
        [created] = (
            self.contract("Session")
            .events.SessionCreated()
            .process_receipt(receipt, errors=DISCARD)
        )
        session_id = int(created["args"]["sessionId"])
        payment = self.contract("SessionPayment")
        token = self.contract("CortensorToken")
        self.transact(DEPLOYER, token.functions.transfer(CLIENT.address, deposit_wei))
        self.transact(CLIENT, token.functions.approve(payment.address, deposit_wei))
        self.transact(CLIENT, payment.functions.depositToSession(session_id, deposit_wei))
        return session_id

    def register_miner(self, miner: LocalAccount) -> None:
        """Register a node that tasks may be assigned to. It has no ether for gas."""
        pool = self.contract("NodePool")
        self.rpc("anvil_setBalance", miner.address, hex(10**18))
        self.transact(miner, pool.functions.register())
        self.transact(ORACLE, pool.functions.setNodeState(miner.address, 3))
        self.rpc("anvil_setBalance", miner.address, "0x0")


@pytest.fixture(scope="session")
def anvil() -> Iterator[str]:
    """The RPC URL of a chain that runs for the whole test run."""
    with ExitStack() as stack:
        folder = stack.enter_context(
            # anvil may still write its state while it stops
            tempfile.TemporaryDirectory(prefix="cortensor-chain-", ignore_cleanup_errors=True)
        )
        # The shorter its initial block time, the fewer states anvil keeps.
        yield start_anvil(stack, Path(folder), free_port())


@pytest.fixture(scope="session")
def deployed(anvil: str, tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """The run's chain with the deployed contracts. It mines only when a test asks for it."""
    w3 = connect(anvil)
    for holder in (DEPLOYER, CLIENT):
        w3.provider.make_request("anvil_setBalance", [holder.address, hex(10**24)])  # type: ignore[arg-type]
    file = tmp_path_factory.mktemp("deployment") / "deployment.json"
    deployment = deploy(w3, DEPLOYER, ROLES, {MODEL: PRICE}, file)
    w3.provider.make_request("evm_setIntervalMining", [0])  # type: ignore[arg-type]
    return Chain(anvil, w3, deployment)


@pytest.fixture
def chain(deployed: Chain, settings: Any, tmp_path: Path) -> Iterator[Chain]:
    """The run's chain in its state after deployment. The settings name it.

    Only the test mines blocks.
    """
    settings.RPC_URL = deployed.url
    settings.RPC_URLS = [deployed.url]
    settings.DEPLOYMENT_FILE = tmp_path / "deployment.json"
    deployed.deployment.save(settings.DEPLOYMENT_FILE)
    snapshot = deployed.rpc("evm_snapshot")
    # A reverted chain keeps an old clock, with the jumps of other tests.
    deployed.rpc("evm_setTime", int(time.time()))
    yield deployed
    payment = deployed.contract("SessionPayment")
    # After deep forks anvil no longer has the contracts and their balances.
    if deployed.w3.eth.get_code(payment.address):
        assert_every_unit_is_accounted_for(payment, deployed.contract("CortensorToken"))
    deployed.rpc("evm_revert", snapshot)
