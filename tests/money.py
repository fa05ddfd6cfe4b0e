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
