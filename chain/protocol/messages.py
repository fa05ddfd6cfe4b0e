"""The EIP-712 messages that miners, validators and clients sign.

The module is pure: no Django, no web3 and no I/O, so a miner's machine can import it. Each
dataclass states its EIP-712 type in `TYPE`; its fields have the order of the type's members.
`contracts/src/task/TaskMessages.sol` defines the same types for tasks.
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
    """No key made this signature over this message."""


@dataclass(frozen=True)
class SigningDomain:
    """The EIP-712 domain in which a signature is valid: one contract on one chain."""

    chain_id: int
    contract: str


@dataclass(frozen=True)
class Ack:
    """A miner's statement that it has the job and works on it. Domain: SessionQueue."""

    session_id: int
    task_id: int
    task_digest: bytes
    miner: str

    TYPE: ClassVar[str] = "Ack(uint256 sessionId,uint256 taskId,bytes32 taskDigest,address miner)"


@dataclass(frozen=True)
class Precommit:
    """A miner's statement that its result is final. Domain: SessionQueue.

    `hash` is the result's `commit_hash`.
    """

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
    """A miner's statement of its result. Domain: SessionQueue.

    Only the router checks this signature. The contract accepts a result without it, since the
    precommitted hash already binds miner and result.
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
    """A validator's verdict on the revealed results of a task. Domain: SessionQueue.

    `miners`, `accuracies_bps` (basis points) and `output_tokens` are parallel. `miners` contains
    each miner that has revealed a result exactly once.
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
    """A node's statement that it belongs to an operator, signed by the node. Domain: NodePool."""

    node: str
    operator: str
    nonce: int

    TYPE: ClassVar[str] = "Registration(address node,address operator,uint256 nonce)"


@dataclass(frozen=True)
class CompletionOrder:
    """A client's order to a router: answer a prompt, and charge a session. Domain: Session.

    `prompt_hash` is the keccak-256 of the prompt, and `body_hash` that of the raw request body.
    `deadline` is in seconds since 1970. A router accepts each nonce of a client once. No contract
    reads this message.
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
    """A node's request for its mailbox. Domain: NodePool.

    `router` is the host and port that the node contacts. It prevents a router from presenting this
    message to another one.
    """

    node: str
    router: str
    challenge: str

    TYPE: ClassVar[str] = "Enrolment(address node,string router,string challenge)"


@dataclass(frozen=True)
class Heartbeat:
    """A node's statement that it is online and what it can take on. Domain: NodePool.

    `status` is JSON. No contract reads this message.
    """

    node: str
    status: str

    TYPE: ClassVar[str] = "Heartbeat(address node,string status)"


@dataclass(frozen=True)
class TransferWithAuthorization:
    """A payer's authorization to transfer $COR once (ERC-3009). Domain: CortensorToken.

    `value` is in wei. The authorization is valid between `valid_after` and `valid_before`, in
    seconds since 1970.
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
    """Sign a message by EIP-712 and return the 65 bytes r, s, v."""
    signed = Account.sign_message(signable(message, domain), private_key)
    return bytes(signed.signature)


def recover(message: Message, domain: SigningDomain, signature: bytes) -> str:
    """Return the checksum address of the key that signed the message.

    Raises:
        InvalidSignature: no key made this signature over this message.
    """
    try:
        return str(Account.recover_message(signable(message, domain), signature=signature))
    except Exception as error:  # eth_keys raises several unrelated types
        raise InvalidSignature(
            f"signature: its {len(signature)} bytes are not a signature over this"
            f" {type(message).__name__}; send 65 bytes r, s, v"
        ) from error


def signable(message: Message, domain: SigningDomain) -> SignableMessage:
    """Return the EIP-712 encoding of a message, the same that a wallet signs."""
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
    """Convert a 65-byte signature to the compact form that contracts take (ERC-2098).

    Return r, and s with the parity of v in its top bit.

    Raises:
        InvalidSignature: the signature does not have 65 bytes.
    """
    if len(signature) != 65:
        raise InvalidSignature(f"signature: {len(signature)} bytes; send 65 bytes r, s, v")
    s = int.from_bytes(signature[32:64], "big")
    odd = signature[64] in (1, 28)
    return signature[:32], (s | odd << 255).to_bytes(32, "big")
