"""What names a task, its result and its texts: hashes that both sides of the wire compute.

Pure, as `chain.protocol.messages`.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from chain.protocol.params import InvalidParams, RequestParams

MAX_DATA_BYTES = 16 * 1024
"""What the contract accepts as a commit's `data`; a longer result is committed by its address."""
MAX_INPUT_TOKENS = 2**20 - 1
"""Its place in a task's terms is wider than its place among what the contract keeps."""
LLM_BITS = (24, 16, 16, 24, 16, 16)
"""The places of maxTokens, temperature, topP, topK and the penalties: see TaskTerms.sol."""


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
