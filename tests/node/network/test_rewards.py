"""A node claims its rewards for network tasks by a transaction of its own."""

from pathlib import Path

from eth_account import Account
from eth_utils import keccak

from mining.node.account.evm import Rpc
from mining.node.account.wallet import Wallet
from mining.node.network.rewards import claim_rewards
from tests.anvil import DEPLOYER, ORACLE, Chain


def test_a_claim_takes_what_epochs_that_are_over_owe(chain: Chain, tmp_path: Path) -> None:
    wallet = Wallet.create_or_open(tmp_path)
    node = Account.from_key(wallet._account.key)
    chain.rpc("anvil_setBalance", node.address, hex(10**18))
    rewards, token = chain.contract("NetworkRewards"), chain.contract("CortensorToken")
    chain.transact(DEPLOYER, token.functions.approve(rewards.address, 10**22))
    chain.transact(DEPLOYER, rewards.functions.fund(10**22))
    grant = chain.contract("Roles").functions.grantRole(keccak(text="MODULE_ROLE"), ORACLE.address)
    chain.transact(DEPLOYER, grant)
    epoch_s = rewards.functions.epochSeconds().call()
    chain.rpc("evm_increaseTime", epoch_s)
    chain.transact(ORACLE, rewards.functions.credit([(node.address, 5), (ORACLE.address, 15)]))
    rpc = Rpc(chain.url)
    assert "nothing is owed" in next(iter(claim_rewards(wallet, rpc, rewards.address, 10)))

    chain.rpc("evm_increaseTime", epoch_s)
    chain.mine()
    budget = rewards.functions.plannedBudget().call()
    chain.rpc("evm_setAutomine", True)
    try:
        [line] = claim_rewards(wallet, rpc, rewards.address, 10)
    finally:
        chain.rpc("evm_setAutomine", False)
    assert line.startswith(f"{budget // 4} wei for 1 epochs")
    assert token.functions.balanceOf(node.address).call() == budget // 4
