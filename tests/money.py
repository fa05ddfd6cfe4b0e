"""Equations of the contracts' totals that must hold after every test that moved money."""

from web3 import Web3
from web3.contract import Contract
from web3.types import BlockNumber, RPCEndpoint


def assert_every_unit_is_accounted_for(payment: Contract, token: Contract) -> None:
    """Assert that deposits = balances + reserved + owed + withdrawn.

    The contract's token balance has to cover balances, reserved and owed.
    """
    block = _past_block(payment.w3)
    total = {
        name: payment.functions[f"total{name}"]().call(block_identifier=block)
        for name in ("Deposited", "Balance", "Reserved", "Owed", "Withdrawn")
    }
    kept = total["Balance"] + total["Reserved"] + total["Owed"]
    assert total["Deposited"] == kept + total["Withdrawn"], total
    assert token.functions.balanceOf(payment.address).call(block_identifier=block) == kept, total


def assert_every_reward_is_accounted_for(rewards: Contract, token: Contract) -> None:
    """Assert that the funding of network tasks = pool + owed + paid.

    The contract's token balance has to cover pool and owed.
    """
    block = _past_block(rewards.w3)
    total = {
        name: rewards.functions[f"total{name}"]().call(block_identifier=block)
        for name in ("Funded", "Pool", "Owed", "Paid")
    }
    kept = total["Pool"] + total["Owed"]
    assert total["Funded"] == kept + total["Paid"], total
    assert token.functions.balanceOf(rewards.address).call(block_identifier=block) == kept, total


def _past_block(w3: Web3) -> BlockNumber:
    """Return the number of a block that contains everything so far and has a successor.

    While anvil builds a block, it answers calls on the latest block from the state of the new one.
    Calls on an older block are consistent.
    """
    block = w3.eth.block_number
    w3.provider.make_request(RPCEndpoint("evm_mine"), [])
    return block
