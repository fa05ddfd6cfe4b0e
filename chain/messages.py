"""What miners and validators sign, and the encodings that both sides of the wire share.

Pure: no Django, no web3, no I/O, so that a miner's own machine can import it. The EIP-712 types
are derived from the dataclasses below; `contracts/src/TaskMessages.sol` holds the same ones.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from eth_abi.abi import encode
from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from chain.network_messages import NetworkMessage

DOMAIN_NAME = "Cortensor"
DOMAIN_VERSION = "1"
MAX_DATA_BYTES = 16 * 1024
"""What the contract accepts as a commit's `data`; a longer result is committed by its address."""
MAX_INPUT_TOKENS = 2**20 - 1
"""Its place in a task's terms is wider than its place among what the contract keeps."""
MIN_TIMEOUT_S, MAX_TIMEOUT_S, DEFAULT_TIMEOUT_S = 5, 3600, 60


class MessageError(ValueError):
    """Base of this module's errors."""


class InvalidSignature(MessageError):
    """The bytes are no signature of any key over this message."""


class InvalidParams(MessageError):
    """A list of numbers on chain does not describe a task."""


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
    except InvalidParams:
        raise
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
            "verifyingContract": to_checksum_address(domain.contract),
        },
        message_types={
            type(message).__name__: [{"name": name, "type": kind} for kind, name in members]
        },
        message_data=dict(zip([name for _, name in members], values, strict=True)),
    )


def commit_hash(session_id: int, task_id: int, miner: str, data: str) -> bytes:
    """The hash that a precommit binds: 32 bytes, worthless to any other miner or task."""
    return keccak(
        encode(
            ["uint256", "uint256", "address", "string"],
            [session_id, task_id, to_checksum_address(miner), data],
        )
    )


def task_digest(
    sid: bytes,
    task_id: int,
    task_data: str,
    prompt_type: int,
    prompt_template: str,
    llm_params: Sequence[int],
    request_params: Sequence[int],
    client_reference: str,
    max_input_tokens: int,
) -> bytes:
    """Bind all that a task says: 32 bytes, which every signed message about it carries.

    Raises InvalidParams for a value that the contract has no place for.
    """
    timeout_s = RequestParams.from_words(request_params).timeout_s
    if max_input_tokens > MAX_INPUT_TOKENS:
        raise InvalidParams(
            f"max_input_tokens: {max_input_tokens} is more than the contract takes,"
            f" {MAX_INPUT_TOKENS}"
        )
    known = [*llm_params, *[0] * len(LLM_BITS)][: len(LLM_BITS)]
    terms = _terms(
        [
            ("prompt_type", 8, prompt_type),
            ("timeout", 16, timeout_s),
            ("max_input_tokens", 24, max_input_tokens),
            *(("llm_params", bits, value) for bits, value in zip(LLM_BITS, known, strict=True)),
        ]
    )
    rest = bytes(32)
    more_llm, more_request = llm_params[len(LLM_BITS) :], request_params[1:]
    if prompt_template or client_reference or more_llm or more_request:
        texts = [keccak(text=prompt_template), keccak(text=client_reference)]
        lists = [keccak(_packed(more_llm)), keccak(_packed(more_request))]
        rest = keccak(b"".join(texts + lists))
    content = addressed_digest(task_data) or keccak(text=task_data)
    return keccak(
        encode(
            ["bytes32", "uint256", "bytes32", "uint256", "bytes32"],
            [sid, task_id, content, terms, rest],
        )
    )


LLM_BITS = (24, 16, 16, 24, 16, 16)
"""The places of maxTokens, temperature, topP, topK and the penalties: see TaskTerms.sol."""


def _terms(places: Sequence[tuple[str, int, int]]) -> int:
    terms = 0
    for name, bits, value in places:
        if value >> bits:
            raise InvalidParams(f"{name}: {value} is more than the contract takes, {2**bits - 1}")
        terms = terms << bits | value
    return terms


def addressed_digest(text: str) -> bytes | None:
    """The SHA-256 that a content address (`ipfs://` and `raw_cid`) says; None for other texts."""
    if len(text) != len(_ADDRESS_START) + _DIGEST_LETTERS or not text.startswith(_ADDRESS_START):
        return None
    # `b`, then base32 without its padding.
    letters = text.removeprefix("ipfs://b").upper() + "======"
    try:
        digest = base64.b32decode(letters)[4:]
    except ValueError:
        return None
    return digest if "ipfs://" + _raw_cid_of(digest) == text else None


_ADDRESS_START, _DIGEST_LETTERS = "ipfs://bafkrei", 52


def short_signature(signature: bytes) -> tuple[bytes, bytes]:
    """A signature of 65 bytes as contracts take it: r, and s with v in its top bit (ERC-2098).

    Raises InvalidSignature when it is not 65 bytes.
    """
    if len(signature) != 65:
        raise InvalidSignature(f"signature: {len(signature)} bytes; send 65 bytes r, s, v")
    s = int.from_bytes(signature[32:64], "big")
    odd = signature[64] in (1, 28)
    return signature[:32], (s | odd << 255).to_bytes(32, "big")


@dataclass(frozen=True)
class LlmParams:
    """How a task wants to be answered, in the contract's units (hundredths).

    A `top_p_x100` or `top_k` of 0 filters nothing: it is what a short list on chain says.
    """

    max_tokens: int
    temperature_x100: int = 0
    top_p_x100: int = 0
    top_k: int = 0
    presence_penalty_x100: int = 0
    frequency_penalty_x100: int = 0

    def to_words(self) -> list[int]:
        """The list as it goes on chain."""
        return [getattr(self, field.name) for field in fields(self)]

    @classmethod
    def from_words(cls, words: Sequence[int]) -> "LlmParams":
        """Read a list from the chain. What is missing is 0, what is beyond is ignored.

        Raises InvalidParams when there is no `max_tokens`.
        """
        if not words or words[0] == 0:
            raise InvalidParams("llmParams[0]: maxTokens is missing; put at least 1 there")
        return cls(*words[: len(fields(cls))])


@dataclass(frozen=True)
class RequestParams:
    """How long a task may take, in seconds."""

    timeout_s: int = DEFAULT_TIMEOUT_S

    def to_words(self) -> list[int]:
        """The list as it goes on chain."""
        return [self.timeout_s]

    @classmethod
    def from_words(cls, words: Sequence[int]) -> "RequestParams":
        """Read a list from the chain with the contract's default and bounds."""
        timeout_s = (words[0] if words else 0) or DEFAULT_TIMEOUT_S
        return cls(min(max(timeout_s, MIN_TIMEOUT_S), MAX_TIMEOUT_S))


def canonical_json(value: Any) -> bytes:
    """The one way to write a value as JSON: sorted keys, no spaces, UTF-8.

    Raises ValueError for what JSON cannot say (NaN, lone surrogates).
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def raw_cid(content: bytes) -> str:
    """The content address (CIDv1, raw leaf, SHA-256, base32) of some bytes."""
    return _raw_cid_of(hashlib.sha256(content).digest())


def _raw_cid_of(digest: bytes) -> str:
    version_codec_hash_length = bytes([0x01, 0x55, 0x12, 0x20])
    binary = version_codec_hash_length + digest
    return "b" + base64.b32encode(binary).decode().lower().rstrip("=")


def _packed(words: Sequence[int]) -> bytes:
    return b"".join(word.to_bytes(32, "big") for word in words)
