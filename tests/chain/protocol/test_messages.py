"""The wire format of messages equals values that were computed independently."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from eth_abi import encode
from eth_account import Account
from eth_utils import keccak

from chain.protocol.messages import (
    Ack,
    Commit,
    InvalidSignature,
    Message,
    Precommit,
    Registration,
    SigningDomain,
    Verdict,
    recover,
    short_signature,
    sign,
    signable,
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


@pytest.mark.parametrize(("v", "top"), [(27, 0), (28, 1), (0, 0), (1, 1)])
def test_a_short_signature_carries_v_in_the_top_bit_of_s(v: int, top: int) -> None:
    r, s = b"\x11" * 32, b"\x22" * 32
    assert short_signature(r + s + bytes([v])) == (r, bytes([0x22 | top << 7]) + s[1:])
    with pytest.raises(InvalidSignature):
        short_signature(r + s)


def test_the_module_drags_in_neither_django_nor_web3() -> None:
    modules = "chain.protocol.digests, chain.protocol.messages"
    code = f"import sys, {modules}; print({{'django','web3','redis'}} & set(sys.modules))"
    environment = {**os.environ}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert answer.stdout.strip() == "set()"
