"""Reads the results of a task from the contract, since no event contains them."""

from dataclasses import dataclass

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from chain.deployed.contracts import deployment
from chain.rpc.client import RpcInconsistent
from chain.rpc.endpoints import endpoints

_SELECTOR = keccak(text="getTaskResultsAndHashes(uint256,uint256)")[:4]


@dataclass(frozen=True)
class ChainResult:
    """What the contract stores for one miner of a task.

    `hash` is 32 zero bytes until the miner has precommitted. `data` is empty until it has revealed.
    """

    hash: bytes
    data: str


def read_results(session_id: int, task_id: int) -> dict[str, ChainResult]:
    """Return what a task's miners have precommitted and revealed, by lower-case address.

    Raises:
        RpcError: no endpoint answers, or the chain has no such task.
    """
    call = {
        "to": deployment().addresses["SessionQueue"],
        "data": "0x" + (_SELECTOR + encode(["uint256"] * 2, [session_id, task_id])).hex(),
    }
    node = endpoints()
    answer = bytes.fromhex(str(node.call("eth_call", call, "latest")).removeprefix("0x"))
    try:
        # The ABI encodes `string` like `bytes`, and a miner may have revealed invalid UTF-8.
        miners, results, hashes = decode(["address[]", "bytes[]", "bytes32[]"], answer)
    except DecodingError as error:
        raise RpcInconsistent(
            f"{node.host}: the answer does not hold the results of a task ({error})"
        ) from error
    return {
        miner.lower(): ChainResult(hashed, _text(data))
        for miner, data, hashed in zip(miners, results, hashes, strict=True)
    }


def _text(data: bytes) -> str:
    # PostgreSQL's text type cannot store NUL.
    return data.decode(errors="replace").replace("\x00", "\ufffd")
