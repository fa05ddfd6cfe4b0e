"""What contracts say of nodes in one word each (Marks.sol, NodePool.sol). Pure."""

from dataclasses import dataclass

from eth_utils.address import to_checksum_address


@dataclass(frozen=True)
class Mark:
    """What a verdict says of one result, and the miner's reputation after it."""

    miner: str
    accuracy_bps: int
    timeliness_bps: int
    output_tokens: int
    reputation: int


@dataclass(frozen=True)
class ReputationChange:
    """A node's reputation from now on."""

    node: str
    reputation: int


@dataclass(frozen=True)
class Payment:
    """What a node is owed for one task."""

    node: str
    amount_wei: int


def read_mark(word: int) -> Mark:
    """Take a `TaskVerdict` event's word apart."""
    return Mark(
        miner=_address(word),
        accuracy_bps=word >> 80 & 0xFFFF,
        timeliness_bps=word >> 64 & 0xFFFF,
        output_tokens=word >> 32 & 0xFFFF_FFFF,
        reputation=_signed(word, 32),
    )


def read_change(word: int) -> ReputationChange:
    """Take a `NodeReputationsChanged` event's word apart."""
    return ReputationChange(_address(word), _signed(word, 96))


def read_payment(word: int) -> Payment:
    """Take a `TaskSettled` event's word apart."""
    return Payment(_address(word), word & (1 << 96) - 1)


def _signed(word: int, bits: int) -> int:
    """A word's lowest bits, as a number that may be negative."""
    low = word & (1 << bits) - 1
    return low - (1 << bits) if low >> (bits - 1) else low


def _address(word: int) -> str:
    return to_checksum_address((word >> 96).to_bytes(20, "big"))
