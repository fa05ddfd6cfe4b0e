"""Hashes and addresses equal values that were computed independently."""

from hashlib import sha256

import pytest
from eth_abi import encode
from eth_account import Account
from eth_utils import keccak

from chain.protocol.digests import (
    MAX_INPUT_TOKENS,
    addressed_digest,
    canonical_json,
    commit_hash,
    raw_cid,
    task_digest,
)
from chain.protocol.params import InvalidParams

MINER = Account.from_key(bytes(range(1, 33))).address
OTHER = Account.from_key(bytes(range(2, 34))).address


def test_a_commit_hash_is_worthless_to_another_miner_or_task() -> None:
    mine = commit_hash(3, 4, MINER, "data")
    assert mine == keccak(
        encode(["uint256", "uint256", "address", "string"], [3, 4, MINER, "data"])
    )
    assert mine == commit_hash(3, 4, MINER.lower(), "data")
    others = {commit_hash(3, 4, OTHER, "data"), commit_hash(3, 5, MINER, "data")}
    assert mine not in others | {commit_hash(4, 4, MINER, "data"), commit_hash(3, 4, MINER, "d")}


def test_every_member_of_a_task_changes_its_digest() -> None:
    task = (b"\x01" * 32, 5, "prompt", 1, "", [64, 70], [60], "reference", 100)
    changed = (b"\x02" * 32, 6, "Prompt", 0, "{p}", [64, 71], [61], "Reference", 101)
    digests = {task_digest(*task)}
    for index, value in enumerate(changed):
        digests.add(task_digest(*task[:index], value, *task[index + 1 :]))  # type: ignore[arg-type]
    assert len(digests) == len(task) + 1


def test_the_digest_packs_the_terms_and_hashes_what_they_do_not_say() -> None:
    bits = [(1, 8), (60, 16), (9, 24), (64, 24), (70, 16), (0, 16), (0, 24), (0, 16), (0, 16)]
    terms = int("".join(f"{value:0{width}b}" for value, width in bits), 2)
    sid, content = b"\x01" * 32, keccak(text="p")
    types = ["bytes32", "uint256", "bytes32", "uint256", "bytes32"]
    expected = keccak(encode(types, [sid, 5, content, terms, bytes(32)]))
    assert task_digest(sid, 5, "p", 1, "", [64, 70], [], "", 9) == expected
    more = keccak((7).to_bytes(32, "big"))
    rest = keccak(keccak(b"") + keccak(text="r") + more + keccak(b""))
    expected = keccak(encode(types, [sid, 5, content, terms, rest]))
    assert task_digest(sid, 5, "p", 1, "", [64, 70, 0, 0, 0, 0, 7], [60], "r", 9) == expected


def test_more_input_tokens_than_the_contract_keeps_are_refused() -> None:
    task = (b"\x01" * 32, 5, "prompt", 1, "", [64, 70], [60], "reference")
    assert task_digest(*task, MAX_INPUT_TOKENS) != task_digest(*task, MAX_INPUT_TOKENS - 1)
    with pytest.raises(InvalidParams, match="max_input_tokens: 1048576"):
        task_digest(*task, MAX_INPUT_TOKENS + 1)


def test_of_a_content_address_the_digest_binds_what_it_addresses() -> None:
    address = "ipfs://" + raw_cid(b"hello world")
    assert addressed_digest(address) == sha256(b"hello world").digest()
    for other in ("", "hello", address + "a", address[:-1] + "f", address.upper()):
        assert addressed_digest(other) is None
    task = (b"\x01" * 32, 5, address, 1, "", [64], [60], "", 9)
    content = sha256(b"hello world").digest()
    terms = 1 << 152 | 60 << 136 | 9 << 112 | 64 << 88
    types = ["bytes32", "uint256", "bytes32", "uint256", "bytes32"]
    assert task_digest(*task) == keccak(encode(types, [task[0], 5, content, terms, bytes(32)]))  # type: ignore[arg-type]


def test_what_the_contract_has_no_place_for_has_no_digest() -> None:
    with pytest.raises(InvalidParams, match="llm_params: 65536"):
        task_digest(bytes(32), 5, "p", 1, "", [64, 65_536], [], "", 9)


def test_canonical_json_has_one_spelling() -> None:
    assert canonical_json({"b": 1, "a": "é\n"}) == '{"a":"é\\n","b":1}'.encode()
    with pytest.raises(ValueError):
        canonical_json(float("nan"))


def test_a_content_address_is_a_raw_sha256_cid() -> None:
    # `ipfs block put --cid-codec raw` of an empty block, as IPFS itself names it.
    assert raw_cid(b"") == "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
    cid = raw_cid(b"content")
    assert len("ipfs://" + cid) == 66
    assert cid.startswith("bafkrei")
