"""The messages that nodes and validators sign for network tasks. Pure.

`chain.protocol.messages.sign` signs them, always in the domain of the contract Cognitive.
`contracts/src/network/NetworkMessages.sol` defines the same types. `seed` is the fork-proof
identity of the request or of the network session.
"""

from dataclasses import dataclass
from typing import ClassVar

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak


@dataclass(frozen=True)
class Ping:
    """A node's statement that it is online. Accepted once, and within two minutes of `time`.

    `time` is in seconds since 1970.
    """

    node: str
    time: int

    TYPE: ClassVar[str] = "Ping(address node,uint256 time)"


@dataclass(frozen=True)
class NetworkCreate:
    """The virtual block of a request, signed by the creator whose turn it is."""

    request_id: int
    seed: int
    domain: str
    subdomain: str

    TYPE: ClassVar[str] = (
        "NetworkCreate(uint256 requestId,uint256 seed,string domain,string subdomain)"
    )


@dataclass(frozen=True)
class NetworkPrepare:
    """The prompts of a network session, signed by the preparer whose turn it is."""

    id: int
    seed: int
    challenges: tuple[str, ...]

    TYPE: ClassVar[str] = "NetworkPrepare(uint256 id,uint256 seed,string[] challenges)"


@dataclass(frozen=True)
class NetworkPrecommit:
    """A completer's statement that its completion is final.

    `hash` is the completion's `completion_hash`.
    """

    id: int
    seed: int
    hash: bytes

    TYPE: ClassVar[str] = "NetworkPrecommit(uint256 id,uint256 seed,bytes32 hash)"


@dataclass(frozen=True)
class NetworkCommit:
    """A completer's statement of its completion."""

    id: int
    seed: int
    completion: str
    salt: int

    TYPE: ClassVar[str] = "NetworkCommit(uint256 id,uint256 seed,string completion,uint256 salt)"


@dataclass(frozen=True)
class NetworkVerdict:
    """A validator's verdict on the completions.

    `accuracies_bps` is in basis points, in the order of the session's miners. A miner that has not
    revealed its completion has 0.
    """

    id: int
    seed: int
    accuracies_bps: tuple[int, ...]

    TYPE: ClassVar[str] = "NetworkVerdict(uint256 id,uint256 seed,uint256[] accuraciesBps)"


NetworkMessage = (
    Ping | NetworkCreate | NetworkPrepare | NetworkPrecommit | NetworkCommit | NetworkVerdict
)


def completion_hash(session_id: int, seed: int, miner: str, completion: str, salt: int) -> bytes:
    """Return the 32-byte hash that a completer precommits.

    The hash covers session and miner, so another node cannot reuse it, nor can it serve for another
    session.
    """
    return keccak(
        encode(
            ["uint256", "uint256", "address", "string", "uint256"],
            [session_id, seed, to_checksum_address(miner), completion, salt],
        )
    )
