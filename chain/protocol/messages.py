"""What miners and validators sign, and how.

Pure: no Django, no web3, no I/O, so that a miner's own machine can import it. The EIP-712 types
are derived from the dataclasses below; `contracts/src/task/TaskMessages.sol` holds the same ones.
"""

from dataclasses import dataclass, fields
from typing import ClassVar

from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data

from chain.errors import ChainError
from chain.protocol.addresses import checksummed
from chain.protocol.network_messages import NetworkMessage

DOMAIN_NAME = "Cortensor"
DOMAIN_VERSION = "1"


class InvalidSignature(ChainError, ValueError):
    """The bytes are no signature of any key over this message."""


@dataclass(frozen=True)
class SigningDomain:
    """Where a signature counts: one contract on one chain."""

    chain_id: int
    contract: str


@dataclass(frozen=True)
class Ack:
    """ "I have the job and work on it." Domain: SessionQueue."""

    session_id: int
    task_id: int
    task_digest: bytes
    miner: str

    TYPE: ClassVar[str] = "Ack(uint256 sessionId,uint256 taskId,bytes32 taskDigest,address miner)"


@dataclass(frozen=True)
class Precommit:
    """ "My result is fixed"; `hash` is `commit_hash` of it. Domain: SessionQueue."""

    session_id: int
    task_id: int
    task_digest: bytes
    miner: str
    hash: bytes

    TYPE: ClassVar[str] = (
        "Precommit(uint256 sessionId,uint256 taskId,bytes32 taskDigest,address miner,bytes32 hash)"
    )


@dataclass(frozen=True)
class Commit:
    """ "This is my result." Domain: SessionQueue.

    For the router: the chain takes the result without it, since the precommitted hash binds it.
    """

    session_id: int
    task_id: int
    task_digest: bytes
    miner: str
    data: str

    TYPE: ClassVar[str] = (
        "Commit(uint256 sessionId,uint256 taskId,bytes32 taskDigest,address miner,string data)"
    )


@dataclass(frozen=True)
class Verdict:
    """What each revealed result of a task is worth, by a validator. Domain: SessionQueue.

    `miners`, `accuracies_bps` (basis points) and `output_tokens` go together; the miners are all
    who have revealed, each once.
    """

    session_id: int
    task_id: int
    task_digest: bytes
    input_tokens: int
    miners: tuple[str, ...]
    accuracies_bps: tuple[int, ...]
    output_tokens: tuple[int, ...]

    TYPE: ClassVar[str] = (
        "Verdict(uint256 sessionId,uint256 taskId,bytes32 taskDigest,uint256 inputTokens,"
        "address[] miners,uint256[] accuraciesBps,uint256[] outputTokens)"
    )


@dataclass(frozen=True)
class Registration:
    """ "My node belongs to this operator", signed by the node. Domain: NodePool."""

    node: str
    operator: str
    nonce: int

    TYPE: ClassVar[str] = "Registration(address node,address operator,uint256 nonce)"


@dataclass(frozen=True)
class CompletionOrder:
    """ "Answer this prompt, and let this session pay", by a client to a router. Domain: Session.

    `prompt_hash` is keccak-256 of the prompt, `body_hash` of the whole request's body, byte for
    byte; `deadline` is in seconds since 1970, and no router takes the same nonce of a client twice.
    No contract reads it.
    """

    client: str
    session_id: int
    prompt_hash: bytes
    body_hash: bytes
    client_reference: str
    deadline: int
    nonce: int

    TYPE: ClassVar[str] = (
        "CompletionOrder(address client,uint256 sessionId,bytes32 promptHash,bytes32 bodyHash,"
        "string clientReference,uint256 deadline,uint256 nonce)"
    )


@dataclass(frozen=True)
class Enrolment:
    """ "Give me my mailbox." Domain: NodePool.

    `router` is the host that the node asks, with its port, so that no other may pass this on.
    """

    node: str
    router: str
    challenge: str

    TYPE: ClassVar[str] = "Enrolment(address node,string router,string challenge)"


@dataclass(frozen=True)
class Heartbeat:
    """ "I am there, and this is what I can take": `status` is JSON. Domain: NodePool.

    No contract reads it.
    """

    node: str
    status: str

    TYPE: ClassVar[str] = "Heartbeat(address node,string status)"


@dataclass(frozen=True)
class TransferWithAuthorization:
    """ "Move this much of my $COR to that account, once" (ERC-3009). Domain: CortensorToken.

    `value` is in wei; it counts between `valid_after` and `valid_before`, in seconds since 1970.
    """

    payer: str
    to: str
    value: int
    valid_after: int
    valid_before: int
    nonce: bytes

    TYPE: ClassVar[str] = (
        "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,"
        "uint256 validBefore,bytes32 nonce)"
    )


Message = (
    Ack
    | Precommit
    | Commit
    | Verdict
    | Registration
    | Enrolment
    | Heartbeat
    | CompletionOrder
    | TransferWithAuthorization
    | NetworkMessage
)


def sign(message: Message, domain: SigningDomain, private_key: bytes | str) -> bytes:
    """Sign a message by EIP-712: 65 bytes, r, s, v."""
    signed = Account.sign_message(signable(message, domain), private_key)
    return bytes(signed.signature)


def recover(message: Message, domain: SigningDomain, signature: bytes) -> str:
    """Return the checksum address of the key that signed; raise InvalidSignature if none did."""
    try:
        return str(Account.recover_message(signable(message, domain), signature=signature))
    except Exception as error:  # eth_keys raises several unrelated types
        raise InvalidSignature(
            f"signature: {len(signature)} bytes that no key made over this"
            f" {type(message).__name__}; send 65 bytes r, s, v"
        ) from error


def signable(message: Message, domain: SigningDomain) -> SignableMessage:
    """The EIP-712 encoding of a message, as any wallet would sign it."""
    members = [member.split(" ") for member in message.TYPE.split("(")[1][:-1].split(",")]
    values = [getattr(message, field.name) for field in fields(message)]
    values = [list(value) if isinstance(value, tuple) else value for value in values]
    return encode_typed_data(
        domain_data={
            "name": DOMAIN_NAME,
            "version": DOMAIN_VERSION,
            "chainId": domain.chain_id,
            "verifyingContract": checksummed(domain.contract),
        },
        message_types={
            type(message).__name__: [{"name": name, "type": kind} for kind, name in members]
        },
        message_data=dict(zip([name for _, name in members], values, strict=True)),
    )


def short_signature(signature: bytes) -> tuple[bytes, bytes]:
    """A signature of 65 bytes as contracts take it: r, and s with v in its top bit (ERC-2098).

    Raises InvalidSignature when it is not 65 bytes.
    """
    if len(signature) != 65:
        raise InvalidSignature(f"signature: {len(signature)} bytes; send 65 bytes r, s, v")
    s = int.from_bytes(signature[32:64], "big")
    odd = signature[64] in (1, 28)
    return signature[:32], (s | odd << 255).to_bytes(32, "big")
