"""The sum that must hold after every test that moved money."""

from web3.contract import Contract


def assert_every_unit_is_accounted_for(payment: Contract, token: Contract) -> None:
    """Deposits = balances + reserved + owed + withdrawn, and the tokens for it are there."""
    # All in the state of one block: a chain that mines by itself goes on between two questions.
    block = payment.w3.eth.block_number
    total = {
        name: payment.functions[f"total{name}"]().call(block_identifier=block)
        for name in ("Deposited", "Balance", "Reserved", "Owed", "Withdrawn")
    }
    kept = total["Balance"] + total["Reserved"] + total["Owed"]
    assert total["Deposited"] == kept + total["Withdrawn"], total
    assert token.functions.balanceOf(payment.address).call(block_identifier=block) == kept, total


def assert_every_reward_is_accounted_for(rewards: Contract, token: Contract) -> None:
    """What was put into the pool of network tasks = pool + owed + paid, and the rest is there."""
    block = rewards.w3.eth.block_number
    total = {
        name: rewards.functions[f"total{name}"]().call(block_identifier=block)
        for name in ("Funded", "Pool", "Owed", "Paid")
    }
    kept = total["Pool"] + total["Owed"]
    assert total["Funded"] == kept + total["Paid"], total
    assert token.functions.balanceOf(rewards.address).call(block_identifier=block) == kept, total
