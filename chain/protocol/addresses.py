"""Checksummed addresses (EIP-55)."""

from functools import lru_cache

from eth_typing import ChecksumAddress
from eth_utils.address import to_checksum_address


@lru_cache(4096)
def checksummed(address: str) -> ChecksumAddress:
    """Return the checksummed form of an address, from a cache.

    Each call of `to_checksum_address` computes a keccak hash. Use this function for addresses that
    occur often.
    """
    return to_checksum_address(address)
