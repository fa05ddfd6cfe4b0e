"""The bloom filter of a block's header: which contracts and events its logs may be of. Pure.

A filter has 2048 bits; an address or a topic sets three. It never denies what is there, and is
sometimes wrong about what is not, the more often the more bits are set.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from eth_utils.crypto import keccak

SATURATED_BITS = 1024
"""With half of its bits set a filter is wrong about one value in eight: it says too little."""


@lru_cache(maxsize=10_000)
def bits(value: str) -> int:
    """The bits of an address or a topic (0x hex)."""
    digest = keccak(hexstr=value)
    places = (int.from_bytes(digest[start : start + 2], "big") & 2047 for start in (0, 2, 4))
    return sum(1 << place for place in set(places))


def may_have(bloom: int, value: str) -> bool:
    """Whether a log of this address, or with this topic, may be in the block."""
    wanted = bits(value)
    return bloom & wanted == wanted


def is_saturated(bloom: int) -> bool:
    """Whether a filter is too full to be asked."""
    return bloom.bit_count() > SATURATED_BITS


def bloom_of(logs: Iterable[Mapping[str, Any]]) -> int:
    """The filter of logs as JSON-RPC has them."""
    bloom = 0
    for log in logs:
        for value in (log["address"].lower(), *log["topics"]):
            bloom |= bits(value)
    return bloom
