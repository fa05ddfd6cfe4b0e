"""The bloom filter in a block's header. Pure.

The filter tells which addresses and topics the block's logs may have. It has 2048 bits, of which
each address and each topic sets three. It has no false negatives. It has false positives, and more
of them the more bits are set.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from eth_utils.crypto import keccak

SATURATED_BITS = 1024
"""The most set bits of a useful filter. With half of the bits set, one answer in eight is a false
positive."""


@lru_cache(maxsize=10_000)
def bits(value: str) -> int:
    """Return the bits that an address or a topic (0x hex) sets."""
    digest = keccak(hexstr=value)
    places = (int.from_bytes(digest[start : start + 2], "big") & 2047 for start in (0, 2, 4))
    return sum(1 << place for place in set(places))


def may_have(bloom: int, value: str) -> bool:
    """Return whether the block may have a log with this address or topic."""
    wanted = bits(value)
    return bloom & wanted == wanted


def is_saturated(bloom: int) -> bool:
    """Return whether a filter has too many bits set to be useful."""
    return bloom.bit_count() > SATURATED_BITS


def bloom_of(logs: Iterable[Mapping[str, Any]]) -> int:
    """Return the filter of logs in JSON-RPC's format."""
    bloom = 0
    for log in logs:
        for value in (log["address"].lower(), *log["topics"]):
            bloom |= bits(value)
    return bloom
