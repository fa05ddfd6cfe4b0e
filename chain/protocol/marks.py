"""Statements about nodes that contracts pack into one word each (Marks.sol, NodePool.sol). Pure."""

from dataclasses import dataclass

from eth_utils.address import to_checksum_address


@dataclass(frozen=True)
class Mark:
    """A verdict on one result, and the miner's reputation after it."""

    miner: str
    accuracy_bps: int
    timeliness_bps: int
    output_tokens: int
    reputation: int


@dataclass(frozen=True)
class ReputationChange:
    """A node's new reputation."""

    node: str
    reputation: int


@dataclass(frozen=True)
class Payment:
    """The amount that a node is owed for one task."""

    node: str
    amount_wei: int


def read_mark(word: int) -> Mark:
    """Unpack a word of a `TaskVerdict` event."""
    return Mark(
        miner=_address(word),
        accuracy_bps=word >> 80 & 0xFFFF,
        timeliness_bps=word >> 64 & 0xFFFF,
        output_tokens=word >> 32 & 0xFFFF_FFFF,
        reputation=_signed(word, 32),
    )


def read_change(word: int) -> ReputationChange:
    """Unpack a word of a `NodeReputationsChanged` event."""
    return ReputationChange(_address(word), _signed(word, 96))


def read_payment(word: int) -> Payment:
    """Unpack a word of a `TaskSettled` event."""
    return Payment(_address(word), word & (1 << 96) - 1)


def _signed(word: int, bits: int) -> int:
    """Read a word's lowest bits as a two's-complement number."""
    low = word & (1 << bits) - 1
    return low - (1 << bits) if low >> (bits - 1) else low


def _address(word: int) -> str:
    return to_checksum_address((word >> 96).to_bytes(20, "big"))
