"""Signing of transactions, and their prices. Pure; amounts are wei a unit of gas."""

from dataclasses import dataclass

from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address

MAX_FEE_WEI = 500 * 10**9
"""More is never paid: the sender waits instead."""
MIN_PRIORITY_FEE_WEI = 10**6
# Nodes take a replacement from +10 % of both fees on; one in eight leaves room for rounding.
_BUMP_NUMERATOR, _BUMP_DENOMINATOR = 9, 8


@dataclass(frozen=True)
class Fees:
    """An EIP-1559 price."""

    max_wei: int
    priority_wei: int


@dataclass(frozen=True)
class Signed:
    """A signed transaction: its hash is known before anybody has seen it."""

    hash: str
    raw: bytes


def fees_at(base_fee_wei: int, priority_wei: int) -> Fees | None:
    """What to offer now: good for six full blocks in a row. None while gas is too dear."""
    priority_wei = max(priority_wei, MIN_PRIORITY_FEE_WEI)
    if base_fee_wei + priority_wei > MAX_FEE_WEI:
        return None
    return Fees(min(2 * base_fee_wei + priority_wei, MAX_FEE_WEI), priority_wei)


def bumped(old: Fees, now: Fees) -> Fees | None:
    """What a replacement of a stuck transaction has to offer. None when that is too dear."""
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
    """Sign a call of a contract."""
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
