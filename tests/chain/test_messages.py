"""The wire format against values worked out independently, and its algebra."""

import os
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256

import pytest
from eth_abi import encode
from eth_account import Account
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from chain.messages import (
    MAX_INPUT_TOKENS,
    Ack,
    Commit,
    InvalidParams,
    InvalidSignature,
    LlmParams,
    Message,
    Precommit,
    Registration,
    RequestParams,
    SigningDomain,
    Verdict,
    addressed_digest,
    canonical_json,
    commit_hash,
    raw_cid,
    recover,
    short_signature,
    sign,
    signable,
    task_digest,
)

KEY = bytes(range(1, 33))
MINER = Account.from_key(KEY).address
OTHER = Account.from_key(bytes(range(2, 34))).address
DIGEST = keccak(text="a task")
DOMAIN = SigningDomain(31337, "0x00000000000000000000000000000000000000A1")
MESSAGES: list[Message] = [
    Ack(3, 1_000_000, DIGEST, MINER),
    Precommit(3, 1_000_000, DIGEST, MINER, keccak(text="data")),
    Commit(3, 1_000_000, DIGEST, MINER, '{"result":"Grüße"}'),
    Verdict(3, 1_000_000, DIGEST, 12, (MINER, OTHER), (9_900, 0), (40, 0)),
    Registration(MINER, OTHER, 7),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_signature_recovers_to_its_signer_and_to_nobody_else_elsewhere(message: Message) -> None:
    signature = sign(message, DOMAIN, KEY)
    assert len(signature) == 65
    assert recover(message, DOMAIN, signature) == MINER
    assert recover(message, replace(DOMAIN, chain_id=1), signature) != MINER
    assert recover(message, replace(DOMAIN, contract=OTHER), signature) != MINER


def test_the_typed_data_hash_is_that_of_the_contract() -> None:
    precommit = Precommit(3, 1_000_000, DIGEST, MINER, keccak(text="data"))
    domain_type = (
        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    )
    domain_separator = keccak(
        encode(
            ["bytes32", "bytes32", "bytes32", "uint256", "address"],
            [keccak(text=domain_type), keccak(text="Cortensor"), keccak(text="1"), 31337]
            + [DOMAIN.contract],
        )
    )
    type_hash = keccak(
        text="Precommit(uint256 sessionId,uint256 taskId,bytes32 taskDigest,"
        "address miner,bytes32 hash)"
    )
    struct_hash = keccak(
        encode(
            ["bytes32", "uint256", "uint256", "bytes32", "address", "bytes32"],
            [type_hash, 3, 1_000_000, DIGEST, MINER, precommit.hash],
        )
    )
    encoded = signable(precommit, DOMAIN)
    assert encoded.header == domain_separator
    assert encoded.body == struct_hash


@pytest.mark.parametrize("signature", [b"", b"\x01" * 64, b"\x00" * 65, b"\xff" * 65])
def test_bytes_that_are_no_signature_are_refused(signature: bytes) -> None:
    with pytest.raises(InvalidSignature):
        recover(MESSAGES[0], DOMAIN, signature)


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


@pytest.mark.parametrize(("v", "top"), [(27, 0), (28, 1), (0, 0), (1, 1)])
def test_a_short_signature_carries_v_in_the_top_bit_of_s(v: int, top: int) -> None:
    r, s = b"\x11" * 32, b"\x22" * 32
    assert short_signature(r + s + bytes([v])) == (r, bytes([0x22 | top << 7]) + s[1:])
    with pytest.raises(InvalidSignature):
        short_signature(r + s)


@given(st.lists(st.integers(1, 2**32 - 1), min_size=1, max_size=9))
def test_parameters_read_short_and_long_lists(words: list[int]) -> None:
    padded = (words + [0] * 6)[:6]
    assert LlmParams.from_words(words).to_words() == padded


def test_a_task_without_a_number_of_tokens_is_refused() -> None:
    for words in ([], [0, 100]):
        with pytest.raises(InvalidParams, match="maxTokens"):
            LlmParams.from_words(words)


@pytest.mark.parametrize(("words", "timeout_s"), [([], 60), ([0], 60), ([1], 5), ([9999], 3600)])
def test_a_timeout_has_the_contracts_bounds(words: list[int], timeout_s: int) -> None:
    assert RequestParams.from_words(words) == RequestParams(timeout_s)


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


def test_the_module_drags_in_neither_django_nor_web3() -> None:
    code = "import sys, chain.messages; print({'django','web3','redis'} & set(sys.modules))"
    environment = {**os.environ}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert answer.stdout.strip() == "set()"
