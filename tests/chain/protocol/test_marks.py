"""Packed words of the contracts are unpacked as the contracts pack them."""

from hypothesis import given
from hypothesis import strategies as st

from chain.protocol.marks import (
    Mark,
    Payment,
    ReputationChange,
    read_change,
    read_mark,
    read_payment,
)

ADDRESSES = st.binary(min_size=20, max_size=20)


@given(
    ADDRESSES,
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.integers(0, 2**32 - 1),
    st.integers(-100, 1000),
)
def test_a_mark_is_read_as_it_was_made(
    node: bytes, accuracy_bps: int, timeliness_bps: int, output_tokens: int, reputation: int
) -> None:
    word = int.from_bytes(node, "big") << 96
    word |= accuracy_bps << 80 | timeliness_bps << 64 | output_tokens << 32 | reputation % 2**32
    mark = read_mark(word)
    assert mark == Mark(mark.miner, accuracy_bps, timeliness_bps, output_tokens, reputation)
    assert bytes.fromhex(mark.miner[2:]) == node


@given(ADDRESSES, st.integers(-100, 1000))
def test_a_reputation_may_be_negative(node: bytes, reputation: int) -> None:
    word = int.from_bytes(node, "big") << 96 | reputation % 2**96
    change = read_change(word)
    assert change == ReputationChange(change.node, reputation)
    assert bytes.fromhex(change.node[2:]) == node


@given(ADDRESSES, st.integers(0, 2**96 - 1))
def test_a_payment_is_read_as_it_was_made(node: bytes, amount_wei: int) -> None:
    payment = read_payment(int.from_bytes(node, "big") << 96 | amount_wei)
    assert payment == Payment(payment.node, amount_wei)
    assert bytes.fromhex(payment.node[2:]) == node
