"""Fees and signatures of transactions."""

from eth_account import Account
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from chain.sending.transactions import MAX_FEE_WEI, Fees, bumped, fees_at, sign
from tests.anvil import ROUTER

WEI = st.integers(0, 2 * MAX_FEE_WEI)


@given(base=WEI, priority=WEI)
def test_a_price_covers_the_base_fee_and_keeps_the_cap(base: int, priority: int) -> None:
    fees = fees_at(base, priority)
    if fees is None:
        assert base + priority > MAX_FEE_WEI * 0.99
    else:
        assert base + fees.priority_wei <= fees.max_wei <= MAX_FEE_WEI


@given(old_max=WEI, old_priority=WEI, new_max=WEI, new_priority=WEI)
def test_a_replacement_raises_both_fees_by_a_tenth(
    old_max: int, old_priority: int, new_max: int, new_priority: int
) -> None:
    fees = bumped(Fees(old_max, old_priority), Fees(new_max, new_priority))
    if fees is not None:
        assert fees.max_wei <= MAX_FEE_WEI
        assert 10 * fees.max_wei >= 11 * old_max
        assert 10 * fees.priority_wei >= 11 * old_priority
        assert fees.max_wei >= new_max


def test_the_hash_is_known_before_anybody_has_seen_the_transaction() -> None:
    signed = sign(
        ROUTER,
        chain_id=31337,
        nonce=7,
        to="0x" + "ab" * 20,
        calldata=b"\x01\x02",
        gas_limit=100_000,
        fees=Fees(10**9, 10**6),
    )
    assert signed.hash == "0x" + keccak(signed.raw).hex()
    assert Account.recover_transaction(signed.raw) == ROUTER.address
