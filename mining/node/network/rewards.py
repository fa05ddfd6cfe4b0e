"""What a node has earned by network tasks, pulled by a transaction of its own.

Routers pay the gas for this as a rule; who does not want to wait for one needs nobody.
"""

from collections.abc import Iterator

from mining.node.account.evm import Rpc
from mining.node.account.transactions import transact
from mining.node.account.wallet import Wallet


def claim_rewards(wallet: Wallet, rpc: Rpc, contract: str, epochs: int) -> Iterator[str]:
    """Claim what the last epochs owe; a line says what came of it. Raises as `transact`."""
    (current,) = rpc.call(contract, "currentEpoch()", [], ["uint256"])
    owed: dict[int, int] = {}
    for epoch in range(max(current - epochs, 0), current):
        (points,) = rpc.call(
            contract, "pointsOf(uint256,address)", [epoch, wallet.address], ["uint256"]
        )
        if points:
            (owed[epoch],) = rpc.call(
                contract, "rewardOf(uint256,address)", [epoch, wallet.address], ["uint256"]
            )
    if not owed:
        yield f"nothing is owed for the last {epochs} epochs"
        return
    sent = transact(wallet, rpc, contract, "claim(uint256[])", [list(owed)])
    yield f"{sum(owed.values())} wei for {len(owed)} epochs: {sent}"
