"""An envelope opens only for its recipients, for its own task, and if it is unchanged."""

import base64
import json
import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from chain.protocol.digests import canonical_json
from chain.protocol.envelopes import (
    MAX_RECIPIENTS,
    Context,
    EnvelopeBroken,
    EnvelopeError,
    InvalidKey,
    NotAnEnvelope,
    NotARecipient,
    Role,
    WrongContext,
    encryption_key,
    is_envelope,
    public_key,
    read_public_key,
    recipients,
    seal,
    share,
    unseal,
)

VECTORS = json.loads((Path(__file__).parent / "envelope_vectors.json").read_text())
SCRIPT = Path(__file__).parent / "envelope.mjs"
CONTEXT = Context(chain_id=31337, session_id=7, task_id=1_000_000, role=Role.PROMPT)
CLIENT, MINER, STRANGER = (encryption_key(bytes([number]) * 32) for number in (1, 2, 3))


def context_of(vector: dict[str, Any]) -> Context:
    return Context(**vector["context"] | {"role": Role(vector["context"]["role"])})


def in_javascript(request: dict[str, Any]) -> str:
    """Return the answer of the other implementation."""
    done = subprocess.run(
        ["node", str(SCRIPT)],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: str = json.loads(done.stdout)
    return answer


# ── who can open it ──────────────────────────────────────────────────────────


@given(st.binary(max_size=2000))
def test_each_recipient_reads_the_content(content: bytes) -> None:
    envelope = seal(content, CONTEXT, [public_key(CLIENT), public_key(MINER)])
    assert unseal(envelope, CONTEXT, CLIENT) == unseal(envelope, CONTEXT, MINER) == content
    assert recipients(envelope) == [public_key(CLIENT), public_key(MINER)]
    assert is_envelope(envelope)


def test_nobody_else_reads_it() -> None:
    envelope = seal(b"a secret", CONTEXT, [public_key(CLIENT)])
    with pytest.raises(NotARecipient, match="recipients"):
        unseal(envelope, CONTEXT, STRANGER)
    assert b"a secret" not in envelope
    assert base64.b64encode(b"a secret")[:8] not in envelope


def test_a_stranger_who_puts_its_own_name_into_the_list_reads_nothing() -> None:
    members = json.loads(seal(b"a secret", CONTEXT, [public_key(CLIENT)]))
    members["recipients"][0]["public_key"] = "0x" + public_key(STRANGER).hex()
    with pytest.raises(EnvelopeBroken, match="wrapped_key"):
        unseal(canonical_json(members), CONTEXT, STRANGER)


def test_two_envelopes_of_one_content_have_nothing_in_common() -> None:
    first, second = (json.loads(seal(b"yes", CONTEXT, [public_key(CLIENT)])) for _ in range(2))
    for name in ("commitment", "nonce", "ciphertext"):
        assert first[name] != second[name]
    assert first["recipients"][0]["wrapped_key"] != second["recipients"][0]["wrapped_key"]


def test_a_recipient_can_share_it_with_others() -> None:
    envelope = seal(b"a secret", CONTEXT, [public_key(CLIENT)])
    shared = share(envelope, CONTEXT, CLIENT, [public_key(MINER)])
    assert unseal(shared, CONTEXT, MINER) == b"a secret"
    assert json.loads(shared)["ciphertext"] == json.loads(envelope)["ciphertext"]
    with pytest.raises(NotARecipient):
        unseal(shared, CONTEXT, CLIENT)
    with pytest.raises(NotARecipient):
        share(envelope, CONTEXT, STRANGER, [public_key(STRANGER)])


def test_what_else_stands_in_an_envelope_is_not_shared() -> None:
    members = json.loads(seal(b"a secret", CONTEXT, [public_key(CLIENT)])) | {"note": "x" * 1000}
    shared = share(canonical_json(members), CONTEXT, CLIENT, [public_key(MINER)])
    assert b"note" not in shared
    assert unseal(shared, CONTEXT, MINER) == b"a secret"


def test_a_key_is_named_once_however_often_it_is_given() -> None:
    envelope = seal(b"", CONTEXT, [public_key(CLIENT)] * 3)
    assert recipients(envelope) == [public_key(CLIENT)]


# ── what it belongs to ───────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "other",
    [{"chain_id": 1}, {"session_id": 8}, {"task_id": 1_000_001}, {"role": Role.RESULT}],
    ids=lambda change: next(iter(change)),
)
def test_it_does_not_pass_for_another_tasks(other: dict[str, Any]) -> None:
    envelope = seal(b"a secret", CONTEXT, [public_key(CLIENT)])
    context = replace(CONTEXT, **other)
    with pytest.raises(WrongContext, match=next(iter(other))):
        unseal(envelope, context, CLIENT)
    members = json.loads(envelope) | {"context": asdict(context)}
    with pytest.raises(EnvelopeBroken):
        unseal(canonical_json(members), context, CLIENT)


# ── what happens on the way ──────────────────────────────────────────────────


@hypothesis_settings(max_examples=300, deadline=None)
@given(st.data())
def test_one_changed_bit_anywhere_is_noticed(data: st.DataObject) -> None:
    envelope = seal(b"a secret", CONTEXT, [public_key(CLIENT)])  # 24 bytes: base64 without padding
    index = data.draw(st.integers(0, len(envelope) - 1))
    bit = data.draw(st.integers(0, 7))
    changed = bytearray(envelope)
    changed[index] ^= 1 << bit
    with pytest.raises(EnvelopeError):
        unseal(bytes(changed), CONTEXT, CLIENT)


def test_a_sender_cannot_make_two_recipients_read_two_things() -> None:
    """Without the commitment, a ciphertext can be made that opens under two keys."""
    members = json.loads(seal(b"what the validator sees", CONTEXT, [public_key(MINER)]))
    other = json.loads(seal(b"what the client sees", CONTEXT, [public_key(CLIENT)]))
    members["recipients"] += other["recipients"]
    mixed = canonical_json(members)
    assert unseal(mixed, CONTEXT, MINER) == b"what the validator sees"
    with pytest.raises(EnvelopeBroken, match="commitment"):
        unseal(mixed, CONTEXT, CLIENT)


@pytest.mark.parametrize(
    ("member", "value", "reason"),
    [
        ("envelope", 2, "version 2"),
        ("envelope", True, "version True"),
        ("recipients", [], "recipients: 0"),
        ("recipients", [{}] * (MAX_RECIPIENTS + 1), "recipients: 65"),
        ("recipients", [{"public_key": "0x00"}], "32 bytes"),
        ("recipients", "text", "not an envelope"),
        ("context", None, "not an envelope"),
        ("nonce", "0x00", "12 bytes"),
        ("commitment", 7, "32 bytes"),
        ("ciphertext", "AAAA", "shorter"),
        ("ciphertext", "*", "not an envelope"),
    ],
)
def test_what_is_no_envelope_is_named(member: str, value: object, reason: str) -> None:
    members = json.loads(seal(b"", CONTEXT, [public_key(CLIENT)])) | {member: value}
    with pytest.raises(NotAnEnvelope, match=reason):
        unseal(canonical_json(members), CONTEXT, CLIENT)


@given(st.binary(max_size=100))
def test_any_bytes_are_an_envelope_or_a_named_error(content: bytes) -> None:
    with pytest.raises(NotAnEnvelope):
        unseal(content, CONTEXT, CLIENT)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"\xff", b'{"prompt":"x"}', b"[" * 100_000, b'"envelope"']
)
def test_a_clear_content_is_no_envelope(content: bytes) -> None:
    assert not is_envelope(content)


# ── keys ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    ["", "0x", "0x" + "ab" * 31, "0x" + "AB" * 32, "ab" * 32, "0x" + "00" * 32, "0x01" + "00" * 31],
)
def test_what_cannot_be_encrypted_to_is_no_key(text: str) -> None:
    with pytest.raises(InvalidKey, match="public_key"):
        read_public_key(text)


def test_there_are_recipients_and_not_too_many() -> None:
    with pytest.raises(InvalidKey, match="recipients: 0"):
        seal(b"", CONTEXT, [])
    many = [public_key(encryption_key(bytes([n]) * 32)) for n in range(1, MAX_RECIPIENTS + 2)]
    with pytest.raises(InvalidKey, match="recipients: 65"):
        seal(b"", CONTEXT, many)


def test_a_list_of_readers_with_a_key_that_is_none_is_refused() -> None:
    members = json.loads(seal(b"", CONTEXT, [public_key(CLIENT)]))
    members["recipients"][0]["public_key"] = "0x" + "00" * 32
    with pytest.raises(InvalidKey):
        recipients(canonical_json(members))


# ── the same everywhere ──────────────────────────────────────────────────────


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_the_vectors_hold(vector: dict[str, Any]) -> None:
    envelope = vector["envelope"].encode()
    for recipient in vector["recipients"]:
        private = encryption_key(bytes.fromhex(recipient["account_key"][2:]))
        assert "0x" + private.hex() == recipient["private_key"]
        assert public_key(private) == read_public_key(recipient["public_key"])
        assert unseal(envelope, context_of(vector), private).decode() == vector["content"]
        answer = in_javascript(recipient | {"do": "unseal"} | vector)
        assert answer == vector["content"]


def test_what_another_implementation_seals_can_be_read() -> None:
    content = '{"prompt":"Grüße, 世界"}'
    envelope = in_javascript(
        {
            "do": "seal",
            "content": content,
            "context": asdict(CONTEXT),
            "recipients": ["0x" + public_key(key).hex() for key in (CLIENT, MINER)],
        }
    ).encode()
    assert unseal(envelope, CONTEXT, CLIENT).decode() == content
    assert unseal(envelope, CONTEXT, MINER).decode() == content
