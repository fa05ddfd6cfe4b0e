"""Addresses with their checksum (EIP-55)."""

from functools import lru_cache

from eth_typing import ChecksumAddress
from eth_utils.address import to_checksum_address


@lru_cache(4096)
def checksummed(address: str) -> ChecksumAddress:
    """`to_checksum_address` for addresses that come again and again: each costs a keccak."""
    return to_checksum_address(address)
