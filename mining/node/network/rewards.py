"""Claims a node's rewards for network tasks by a transaction of its own.

Usually a router claims them and pays the gas. A node that does not want to wait can claim them
itself.
"""

from collections.abc import Iterator

from mining.node.account.evm import Rpc
from mining.node.account.transactions import transact
from mining.node.account.wallet import Wallet


def claim_rewards(wallet: Wallet, rpc: Rpc, contract: str, epochs: int) -> Iterator[str]:
    """Claim the node's rewards for the last epochs, and yield a line with the outcome.

    Args:
        wallet: the node's key.
        rpc: the chain.
        contract: the address of NetworkRewards.
        epochs: how many past epochs to check.

    Raises:
        CallReverted: the contract refuses.
        ChainUnavailable: the chain does not answer.
    """
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
