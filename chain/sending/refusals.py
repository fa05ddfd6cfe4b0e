"""Decoding of reverts, and what they mean for an operation. Pure."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import collapse_if_tuple, function_abi_to_4byte_selector

from chain.deployed.contracts import CONTRACTS, abi
from chain.following.logs import arguments, layouts
from chain.operations import OperationKind


@dataclass(frozen=True)
class Refusal:
    """A decoded revert: the error's name and arguments. The name is empty without a reason."""

    name: str
    arguments: Mapping[str, Any]

    def __str__(self) -> str:
        if not self.name:
            return "reverted without a reason (out of gas?)"
        values = ", ".join(f"{name}={_shown(value)}" for name, value in self.arguments.items())
        return f"{self.name}({values})"


class Meaning(enum.Enum):
    """What a refusal means for the operation."""

    DONE = "the operation's effect is already on chain"
    TRY_AGAIN = "something that has to come first is not on chain yet"
    REFUSED = "the operation can never succeed"


def refusal_of(data: bytes) -> Refusal:
    """Decode revert data."""
    known = _errors().get(data[:4])
    if known is None:
        return Refusal("UnknownError" if data else "", {"data": "0x" + data.hex()} if data else {})
    name, names, types = known
    try:
        values = decode(types, data[4:])
    except DecodingError:
        return Refusal(name, {"data": "0x" + data.hex()})
    return Refusal(name, dict(zip(names, values, strict=True)))


def meaning_of(kind: OperationKind, refusal: Refusal) -> Meaning:
    """Return what a refusal means for an operation of this kind."""
    if refusal.name == "AlreadyDone" or refusal.name in _DONE.get(kind, ()):
        return Meaning.DONE
    if refusal.name in _EARLY or refusal.name in _EARLY_FOR.get(kind, ()):
        return Meaning.TRY_AGAIN
    return Meaning.REFUSED


def skipped_in(receipt: Mapping[str, Any], contract: str, address: str) -> dict[int, Refusal]:
    """Return the refusals of a batch's skipped elements, by their index in the batch."""
    found = {}
    for log in receipt["logs"]:
        layout = layouts(contract).get(log["topics"][0]) if log["topics"] else None
        if layout is None or layout.name != "RelaySkipped":
            continue
        if log["address"].lower() != address.lower():
            continue
        skipped = arguments(layout, log)
        found[int(skipped["index"])] = refusal_of(bytes.fromhex(skipped["reason"][2:]))
    return found


_DONE: dict[OperationKind, set[str]] = {
    OperationKind.REGISTER_NODE: {"AlreadyRegistered"},
    OperationKind.END_PRECOMMIT: {"PhaseOver", "AlreadyEnded"},
    OperationKind.END_COMMIT: {"PhaseOver", "AlreadyEnded"},
    OperationKind.END_TASK: {"AlreadyEnded"},
    OperationKind.WITHDRAW_NODE_PAYMENT: {"NothingOwed"},
    # The nonce of a refund is used for this refund only, so a used nonce means that it was made.
    # SETTLE_PAYMENT is not listed: a payer may have used its nonce for another transfer.
    OperationKind.REFUND_PAYMENT: {"ERC3009UsedAuthorization"},
    # Network tasks: another account did it first, or the task has moved on.
    OperationKind.RELAY_PING: {"PingTooSoon"},
    OperationKind.REQUEST_NETWORK_TASK: {"RoundOpen"},
    OperationKind.START_NETWORK_TASK: {"WrongState"},
    OperationKind.FORCE_NETWORK_TASK: {"AlreadyEnded"},
    OperationKind.CLAIM_NETWORK_REWARD: {"NothingEarned"},
}
# The operation may depend on another one that is still in the outbox or in the next block.
_EARLY = {
    "TaskNotFound",
    "SessionNotFound",
    "NotRegistered",
    "NotAssigned",
    "PhaseOpen",
    "TooEarly",
    "ElementOutOfGas",
    "",
}
_EARLY_FOR: dict[OperationKind, set[str]] = {
    OperationKind.PRUNE_NODE: {"RollFrozen"},
    OperationKind.END_PRECOMMIT: {"WrongStatus"},
}


@cache
def _errors() -> dict[bytes, tuple[str, list[str], list[str]]]:
    """Return the errors of all contracts and of Solidity itself, by selector."""
    known = {
        bytes.fromhex("08c379a0"): ("Error", ["message"], ["string"]),
        bytes.fromhex("4e487b71"): ("Panic", ["code"], ["uint256"]),
    }
    for contract in CONTRACTS:
        for element in abi(contract):
            if element["type"] != "error":
                continue
            known[function_abi_to_4byte_selector(element)] = (
                element["name"],
                [part["name"] for part in element["inputs"]],
                [collapse_if_tuple(part) for part in element["inputs"]],
            )
    return known


def _shown(value: Any) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
