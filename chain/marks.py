"""What contracts say of nodes in one word each: see Marks.sol and NodePool.sol. Pure."""

from dataclasses import dataclass

from eth_utils.address import to_checksum_address


@dataclass(frozen=True)
class Mark:
    """What a verdict says of one result."""

    miner: str
    accuracy_bps: int
    timeliness_bps: int
    output_tokens: int


@dataclass(frozen=True)
class ReputationChange:
    """A node's reputation from now on."""

    node: str
    reputation: int


def read_mark(word: int) -> Mark:
    """Take a `TaskVerdict` event's word apart."""
    return Mark(
        miner=_address(word),
        accuracy_bps=word >> 80 & 0xFFFF,
        timeliness_bps=word >> 64 & 0xFFFF,
        output_tokens=word >> 32 & 0xFFFF_FFFF,
    )


def read_change(word: int) -> ReputationChange:
    """Take a `NodeReputationsChanged` event's word apart."""
    low = word & (1 << 96) - 1
    return ReputationChange(_address(word), low - (1 << 96) if low >> 95 else low)


def _address(word: int) -> str:
    return to_checksum_address((word >> 96).to_bytes(20, "big"))
