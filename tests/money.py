"""The sum that must hold after every test that moved money."""

from web3.contract import Contract


def assert_every_unit_is_accounted_for(payment: Contract, token: Contract) -> None:
    """Deposits = balances + reserved + owed + withdrawn, and the tokens for it are there."""
    total = {
        name: payment.functions[f"total{name}"]().call()
        for name in ("Deposited", "Balance", "Reserved", "Owed", "Withdrawn")
    }
    kept = total["Balance"] + total["Reserved"] + total["Owed"]
    assert total["Deposited"] == kept + total["Withdrawn"], total
    assert token.functions.balanceOf(payment.address).call() == kept, total


def assert_every_reward_is_accounted_for(rewards: Contract, token: Contract) -> None:
    """What was put into the pool of network tasks = pool + owed + paid, and the rest is there."""
    total = {
        name: rewards.functions[f"total{name}"]().call()
        for name in ("Funded", "Pool", "Owed", "Paid")
    }
    kept = total["Pool"] + total["Owed"]
    assert total["Funded"] == kept + total["Paid"], total
    assert token.functions.balanceOf(rewards.address).call() == kept, total
