"""The oracle's windows are those of the contract."""

from mining import deadlines
from tests.anvil import Chain

NAMES = (
    "ACK_WINDOW",
    "CHOICE_WINDOW",
    "DRAW_PERIOD",
    "GRACE_WINDOW",
    "COMMIT_WINDOW",
    "VERDICT_WINDOW",
)


def test_the_oracles_windows_are_the_contracts(chain: Chain) -> None:
    queue = chain.contract("SessionQueue")
    fixed = {name: queue.get_function_by_name(name)().call() for name in NAMES}
    assert {name: getattr(deadlines, f"{name}_S") for name in NAMES} == fixed
