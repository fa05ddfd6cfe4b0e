"""Signing of transactions, and their fees. Pure. Fees are in wei per unit of gas."""

from dataclasses import dataclass

from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address

MAX_FEE_WEI = 500 * 10**9
"""The highest fee that is ever offered. Above it, the sender waits."""
MIN_PRIORITY_FEE_WEI = 10**6
# Nodes accept a replacement if both fees are at least 10 % higher. 12.5 % allows for rounding.
_BUMP_NUMERATOR, _BUMP_DENOMINATOR = 9, 8


@dataclass(frozen=True)
class Fees:
    """The two fees of an EIP-1559 transaction."""

    max_wei: int
    priority_wei: int


@dataclass(frozen=True)
class Signed:
    """A signed transaction. Its hash is known before it is broadcast."""

    hash: str
    raw: bytes


def fees_at(base_fee_wei: int, priority_wei: int) -> Fees | None:
    """Return the fees to offer now, or None while gas is too expensive.

    The maximum is twice the base fee, which suffices for about six full blocks in a row.
    """
    priority_wei = max(priority_wei, MIN_PRIORITY_FEE_WEI)
    if base_fee_wei + priority_wei > MAX_FEE_WEI:
        return None
    return Fees(min(2 * base_fee_wei + priority_wei, MAX_FEE_WEI), priority_wei)


def bumped(old: Fees, now: Fees) -> Fees | None:
    """Return the fees for the replacement of a stuck transaction, or None if too expensive."""
    floor = Fees(_bump(old.max_wei), _bump(old.priority_wei))
    fees = Fees(max(floor.max_wei, now.max_wei), max(floor.priority_wei, now.priority_wei))
    return fees if fees.max_wei <= MAX_FEE_WEI else None


def sign(
    account: LocalAccount,
    *,
    chain_id: int,
    nonce: int,
    to: str,
    calldata: bytes,
    gas_limit: int,
    fees: Fees,
) -> Signed:
    """Sign a contract call as an EIP-1559 transaction."""
    signed = account.sign_transaction(
        {
            "type": 2,
            "chainId": chain_id,
            "nonce": nonce,
            "to": to_checksum_address(to),
            "value": 0,
            "data": calldata,
            "gas": gas_limit,
            "maxFeePerGas": fees.max_wei,
            "maxPriorityFeePerGas": fees.priority_wei,
        }
    )
    return Signed("0x" + signed.hash.hex().removeprefix("0x"), bytes(signed.raw_transaction))


def _bump(value_wei: int) -> int:
    return -(-value_wei * _BUMP_NUMERATOR // _BUMP_DENOMINATOR)
