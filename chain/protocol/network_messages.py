"""What nodes and validators sign for network tasks. Pure; `chain.protocol.messages` signs them.

`contracts/src/network/NetworkMessages.sol` holds the same types. All are of Cognitive's domain.
`seed` is the request's or the session's: its fork-proof identity.
"""

from dataclasses import dataclass
from typing import ClassVar

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak


@dataclass(frozen=True)
class Ping:
    """ "I am there", in seconds since 1970; accepted for two minutes, and once."""

    node: str
    time: int

    TYPE: ClassVar[str] = "Ping(address node,uint256 time)"


@dataclass(frozen=True)
class NetworkCreate:
    """ "This is the virtual block", by the creator whose turn it is."""

    request_id: int
    seed: int
    domain: str
    subdomain: str

    TYPE: ClassVar[str] = (
        "NetworkCreate(uint256 requestId,uint256 seed,string domain,string subdomain)"
    )


@dataclass(frozen=True)
class NetworkPrepare:
    """ "These are my prompts", by the preparer whose turn it is."""

    id: int
    seed: int
    challenges: tuple[str, ...]

    TYPE: ClassVar[str] = "NetworkPrepare(uint256 id,uint256 seed,string[] challenges)"


@dataclass(frozen=True)
class NetworkPrecommit:
    """ "My completion is fixed", by a completer; `hash` is `completion_hash` of it."""

    id: int
    seed: int
    hash: bytes

    TYPE: ClassVar[str] = "NetworkPrecommit(uint256 id,uint256 seed,bytes32 hash)"


@dataclass(frozen=True)
class NetworkCommit:
    """ "This is my completion", by a completer."""

    id: int
    seed: int
    completion: str
    salt: int

    TYPE: ClassVar[str] = "NetworkCommit(uint256 id,uint256 seed,string completion,uint256 salt)"


@dataclass(frozen=True)
class NetworkVerdict:
    """What the completions are worth, by a validator: basis points, in the order of the session's
    miners, 0 for who has not revealed."""

    id: int
    seed: int
    accuracies_bps: tuple[int, ...]

    TYPE: ClassVar[str] = "NetworkVerdict(uint256 id,uint256 seed,uint256[] accuraciesBps)"


NetworkMessage = (
    Ping | NetworkCreate | NetworkPrepare | NetworkPrecommit | NetworkCommit | NetworkVerdict
)


def completion_hash(session_id: int, seed: int, miner: str, completion: str, salt: int) -> bytes:
    """What a completer precommits: 32 bytes, worthless to any other node or session."""
    return keccak(
        encode(
            ["uint256", "uint256", "address", "string", "uint256"],
            [session_id, seed, to_checksum_address(miner), completion, salt],
        )
    )
