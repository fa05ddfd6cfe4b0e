"""A task's results as its contract tells them: what no event carries."""

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
    """A miner's part: `hash` once it has precommitted, 32 zero bytes before; `data` once it has
    revealed, empty before."""

    hash: bytes
    data: str


def read_results(session_id: int, task_id: int) -> dict[str, ChainResult]:
    """What a task's miners have precommitted and revealed as of now, by lower-case address.

    Raises:
        RpcError: the chain cannot be asked, or has no such task.
    """
    call = {
        "to": deployment().addresses["SessionQueue"],
        "data": "0x" + (_SELECTOR + encode(["uint256"] * 2, [session_id, task_id])).hex(),
    }
    node = endpoints()
    answer = bytes.fromhex(str(node.call("eth_call", call, "latest")).removeprefix("0x"))
    try:
        # Texts lie as bytes do, and a miner may have revealed what is no text.
        miners, results, hashes = decode(["address[]", "bytes[]", "bytes32[]"], answer)
    except DecodingError as error:
        raise RpcInconsistent(f"{node.host}: no results of a task ({error})") from error
    return {
        miner.lower(): ChainResult(hashed, _text(data))
        for miner, data, hashed in zip(miners, results, hashes, strict=True)
    }


def _text(data: bytes) -> str:
    # PostgreSQL's text has no NUL.
    return data.decode(errors="replace").replace("\x00", "\ufffd")
