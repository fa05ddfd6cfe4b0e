"""Hashes that identify a task, its result and its texts. Router and miner both compute them.

The module is pure, like `chain.protocol.messages`.
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

ADDRESS_SCHEME = "ipfs://"
"""A content address is this and a CID."""
MAX_DATA_BYTES = 16 * 1024
"""The contract's limit for a commit's `data`. A longer result is committed by its address."""
MAX_INPUT_TOKENS = 2**20 - 1
"""The contract stores `maxInputTokens` in 20 bits, although the packed terms have room for 24."""
LLM_BITS = (24, 16, 16, 24, 16, 16)
"""Widths in the packed terms of maxTokens, temperature, topP, topK and the two penalties.

`contracts/src/task/TaskTerms.sol` has the same layout.
"""


def commit_hash(session_id: int, task_id: int, miner: str, data: str) -> bytes:
    """Return the 32-byte hash that a miner precommits.

    The hash covers session, task and miner, so another miner cannot reuse it, nor can it serve for
    another task.
    """
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
    """Return the 32-byte digest of everything that a task specifies.

    Every signed message about the task contains this digest. `docs/reference/task-identity.md`
    describes the encoding.

    Raises:
        InvalidParams: a value exceeds its width in the contract.
    """
    timeout_s = RequestParams.from_words(request_params).timeout_s
    if max_input_tokens > MAX_INPUT_TOKENS:
        raise InvalidParams(
            f"max_input_tokens: {max_input_tokens} exceeds the contract's limit of"
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
            raise InvalidParams(f"{name}: {value} exceeds the contract's limit of {2**bits - 1}")
        terms = terms << bits | value
    return terms


def addressed_digest(text: str) -> bytes | None:
    """Return the SHA-256 digest in a content address, or None if the text is not one.

    A content address is `ADDRESS_SCHEME` followed by a CID as `raw_cid` returns it.
    """
    if len(text) != len(_ADDRESS_START) + _DIGEST_LETTERS or not text.startswith(_ADDRESS_START):
        return None
    # `b`, then base32 without its padding.
    letters = text.removeprefix(ADDRESS_SCHEME + "b").upper() + "======"
    try:
        digest = base64.b32decode(letters)[4:]
    except ValueError:
        return None
    return digest if ADDRESS_SCHEME + _raw_cid_of(digest) == text else None


_ADDRESS_START, _DIGEST_LETTERS = ADDRESS_SCHEME + "bafkrei", 52


def canonical_json(value: Any) -> bytes:
    """Serialize a value as canonical JSON: sorted keys, no spaces, UTF-8.

    Raises:
        ValueError: the value has no JSON form (NaN, lone surrogates).
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def raw_cid(content: bytes) -> str:
    """Return the CID of a content: CIDv1, raw leaf, SHA-256, base32."""
    return _raw_cid_of(hashlib.sha256(content).digest())


def raw_address(content: bytes) -> str:
    """The content address of some bytes that are one raw leaf."""
    return ADDRESS_SCHEME + raw_cid(content)


def _raw_cid_of(digest: bytes) -> str:
    version_codec_hash_length = bytes([0x01, 0x55, 0x12, 0x20])
    binary = version_codec_hash_length + digest
    return "b" + base64.b32encode(binary).decode().lower().rstrip("=")


def _packed(words: Sequence[int]) -> bytes:
    return b"".join(word.to_bytes(32, "big") for word in words)
