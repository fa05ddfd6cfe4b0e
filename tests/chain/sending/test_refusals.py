"""Custom errors of the contracts are turned into words and meanings."""

from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from chain.operations import OperationKind
from chain.sending.refusals import Meaning, Refusal, meaning_of, refusal_of


def revert(signature: str, *values: Any) -> bytes:
    types = [kind for kind in signature.split("(")[1][:-1].split(",") if kind]
    return keccak(text=signature)[:4] + encode(types, values)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (revert("AlreadyDone()"), "AlreadyDone()"),
        (
            revert("InsufficientSessionBalance(uint256,uint256,uint256)", 3, 10, 7),
            "InsufficientSessionBalance(sessionId=3, needed=10, available=7)",
        ),
        (revert("Error(string)", "no"), "Error(message=no)"),
        (bytes.fromhex("4e487b71") + (17).to_bytes(32, "big"), "Panic(code=17)"),
        (b"\x01\x02\x03\x04\x05", "UnknownError(data=0x0102030405)"),
        (revert("TooEarly(uint256,uint256)", 1, 2)[:10], "TooEarly(data=0x"),
        (b"", "reverted without a reason (out of gas?)"),
    ],
)
def test_reverts_are_decoded(data: bytes, text: str) -> None:
    assert str(refusal_of(data)).startswith(text)


@pytest.mark.parametrize(
    ("kind", "name", "meaning"),
    [
        (OperationKind.RELAY_ACK, "AlreadyDone", Meaning.DONE),
        (OperationKind.END_TASK, "AlreadyEnded", Meaning.DONE),
        (OperationKind.RELAY_VERDICT, "AlreadyEnded", Meaning.REFUSED),
        (OperationKind.END_PRECOMMIT, "PhaseOver", Meaning.DONE),
        (OperationKind.RELAY_PRECOMMIT, "PhaseOver", Meaning.REFUSED),
        (OperationKind.ASSIGN_TASK, "TaskNotFound", Meaning.TRY_AGAIN),
        (OperationKind.RELAY_COMMIT, "PhaseOpen", Meaning.TRY_AGAIN),
        (OperationKind.END_COMMIT, "TooEarly", Meaning.TRY_AGAIN),
        (OperationKind.END_PRECOMMIT, "WrongStatus", Meaning.TRY_AGAIN),
        (OperationKind.ASSIGN_TASK, "WrongStatus", Meaning.REFUSED),
        (OperationKind.SUBMIT_TASK, "InsufficientSessionBalance", Meaning.REFUSED),
        (OperationKind.RELAY_ACK, "WrongSigner", Meaning.REFUSED),
    ],
)
def test_refusals_have_a_meaning(kind: OperationKind, name: str, meaning: Meaning) -> None:
    assert meaning_of(kind, Refusal(name, {})) == meaning
