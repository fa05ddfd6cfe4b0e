"""A node's stake, and its state in the contracts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mining.node.account.evm import CallReverted, Rpc
from mining.node.account.reverts import in_cor
from mining.node.account.transactions import transact
from mining.node.account.wallet import Wallet
from mining.node.errors import NodeError

DECIMALS = 18
"""The number of decimals of $COR."""
_AMOUNT = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,18}))?")
STATES = ("unknown", "registered", "active", "ephemeral", "reserved", "dedicated")
_NODE = "(address,address,uint8,int256,uint256)"


class AmountInvalid(NodeError):
    """The text is not an amount of $COR."""


@dataclass(frozen=True)
class Standing:
    """A node's state in the contracts.

    Amounts are in wei of $COR, except `gas_wei`, which is in wei of the chain's own currency.
    `models` is empty if the node has announced none. Such a node counts as serving all models.
    `release_at` is in Unix seconds. `owed_wei` is None if SessionQueue's address is not known.
    """

    state: str
    operator: str
    reputation: int
    models: tuple[int, ...]
    staked_wei: int
    minimum_stake_wei: int
    unbonding_wei: int
    release_at: int
    balance_wei: int
    owed_wei: int | None
    gas_wei: int


def amount_from(text: str) -> int:
    """Parse an amount of $COR, as in `12.5`, and return it in wei. Raises AmountInvalid."""
    match = _AMOUNT.fullmatch(text)
    wei = int(match[1]) * 10**DECIMALS + int((match[2] or "").ljust(DECIMALS, "0")) if match else 0
    if not 0 < wei < 2**104:
        raise AmountInvalid(
            f"AMOUNT: {text!r} is not an amount of $COR; give one above 0, with at most {DECIMALS}"
            " decimals, as in 12.5"
        )
    return wei


def standing(rpc: Rpc, pool: str, queue: str | None, node: str) -> Standing:
    """Read a node's state from the contracts. Raises CallReverted or ChainUnavailable.

    Args:
        rpc: the chain.
        pool: the address of NodePool.
        queue: the address of SessionQueue, which leads to the contract that owes earnings. If it
            is None, `owed_wei` is None.
        node: the address of the node.
    """
    ((_, operator, state, reputation, _),) = rpc.call(pool, "getNode(address)", [node], [_NODE])
    staked, unbonding, release_at = rpc.call(
        pool, "stakeOf(address)", [node], ["uint256", "uint256", "uint256"]
    )
    (models,) = rpc.call(pool, "modelsOf(address)", [node], ["uint256[]"])
    (minimum,) = rpc.call(pool, "minimumStake()", [], ["uint256"])
    (balance,) = rpc.call(_token(rpc, pool), "balanceOf(address)", [node], ["uint256"])
    owed = None
    if queue is not None:
        (payment,) = rpc.call(queue, "payment()", [], ["address"])
        (owed,) = rpc.call(payment, "owedTo(address)", [node], ["uint256"])
    return Standing(
        state=STATES[state],
        operator=operator,
        reputation=reputation,
        models=tuple(models),
        staked_wei=staked,
        minimum_stake_wei=minimum,
        unbonding_wei=unbonding,
        release_at=release_at,
        balance_wei=balance,
        owed_wei=owed,
        gas_wei=int(rpc.request("eth_getBalance", node, "latest"), 16),
    )


def stake(wallet: Wallet, rpc: Rpc, pool: str, node: str, wei: int) -> Iterator[str]:
    """Add this wallet's $COR to a node's stake.

    A first transaction approves the amount, if it is not approved yet. A second one stakes it.
    Yield the hash of each transaction once it is mined.

    Raises:
        CallReverted: the wallet has too little $COR, or a contract refuses.
        ChainUnavailable: the chain does not answer.
    """
    token = _token(rpc, pool)
    (balance,) = rpc.call(token, "balanceOf(address)", [wallet.address], ["uint256"])
    if balance < wei:
        raise CallReverted(
            f"AMOUNT: {wallet.address} has {in_cor(balance)}, less than {in_cor(wei)}; send it the"
            " rest first"
        )
    (allowed,) = rpc.call(token, "allowance(address,address)", [wallet.address, pool], ["uint256"])
    if allowed < wei:
        yield transact(wallet, rpc, token, "approve(address,uint256)", [pool, wei])
    yield transact(wallet, rpc, pool, "stake(address,uint256)", [node, wei])


def _token(rpc: Rpc, pool: str) -> str:
    (token,) = rpc.call(pool, "token()", [], ["address"])
    return str(token)
