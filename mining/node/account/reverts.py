"""Explains a contract's custom errors in words that a node's owner can act on."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

_WEI = 10**18


def reason_of(data: str) -> str | None:
    """Return the error's name and its explanation, or None if the error is not known.

    Args:
        data: the ABI-encoded error, as 0x hex.
    """
    known = _KNOWN.get(data[:10].lower())
    if known is None:
        return None
    signature, explain = known
    types = [kind for kind in signature.partition("(")[2][:-1].split(",") if kind]
    try:
        values = decode(types, bytes.fromhex(data[10:]))
    except (DecodingError, ValueError):
        return None
    return f"{signature.partition('(')[0]}: {explain(*values)}"


def in_cor(wei: int) -> str:
    """Format an amount of wei in $COR, without rounding."""
    whole, rest = divmod(wei, _WEI)
    return f"{whole:,}" + (f".{rest:018d}".rstrip("0") if rest else "") + " $COR"


def at(seconds: int) -> str:
    """Format a time of the chain, which is in Unix seconds."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


_EXPLANATIONS: dict[str, Callable[..., str]] = {
    "AlreadyRegistered(address)": lambda node: f"NodePool knows {node} already",
    "NotRegistered(address)": lambda node: f"NodePool does not know {node}; run `register` first",
    "NotOperator(address,address)": lambda node, account: (
        f"{account} does not operate {node}; send it from the account that does"
    ),
    "ZeroAmount()": lambda: "the amount is 0; give an amount above 0",
    "InsufficientStake(address,uint256,uint256)": lambda _, needed, available: (
        f"{in_cor(available)} are staked, less than {in_cor(needed)}; give no more than that"
    ),
    "StillBonded(address,uint256)": lambda _, release_at: (
        f"the stake can be withdrawn from {at(release_at)} on; try again then"
    ),
    "NothingOwed(address)": lambda node: f"nothing is owed to {node} yet",
    "ERC20InsufficientBalance(address,uint256,uint256)": lambda account, balance, needed: (
        f"{account} has {in_cor(balance)}, less than {in_cor(needed)}; send it the rest first"
    ),
    "ERC20InsufficientAllowance(address,uint256,uint256)": lambda spender, allowance, needed: (
        f"{spender} may take {in_cor(allowance)}, less than {in_cor(needed)}; approve more"
    ),
    "TaskNotFound(uint256,uint256)": lambda session, task: f"there is no task {session}/{task}",
    "AlreadyDone()": lambda: "the chain has it already",
    "AlreadyEnded()": lambda: "the task has ended",
    "PhaseOpen()": lambda: "this phase of the task has not begun; try again later",
    "PhaseOver()": lambda: "this phase of the task is over",
    "NotAssigned(address)": lambda miner: f"the task is not assigned to {miner}",
    "HashMismatch(bytes32,bytes32)": lambda given, expected: (
        f"the data hashes to 0x{given.hex()}, but 0x{expected.hex()} is precommitted"
    ),
    "HashFixed(bytes32,bytes32)": lambda _, expected: f"0x{expected.hex()} is precommitted",
}
_KNOWN: dict[str, tuple[str, Callable[..., Any]]] = {
    "0x" + keccak(text=signature)[:4].hex(): (signature, explain)
    for signature, explain in _EXPLANATIONS.items()
}
