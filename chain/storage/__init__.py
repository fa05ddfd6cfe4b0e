"""Prompts and results by their content: what is read is what was written, or an error.

A content of up to 1 MiB is one raw leaf; a larger one is a tree of them, in the shape of the
profile `unixfs-v1-2025`, so that any IPFS implementation gives the same content the same CID. The
blocks lie in files under `settings.STORAGE_DIR`, or in a Kubo node where `settings.IPFS_API_URL`
names one.
"""

from chain.storage.contents import (
    CONTENT_WITHIN_S,
    MAX_CONTENT_BYTES,
    SCHEME,
    address,
    get,
    put,
    put_meanwhile,
    put_stream,
    stream,
)
from chain.storage.errors import (
    BlockCorrupt,
    BlockMissing,
    BlockTooLarge,
    ContentMalformed,
    ContentTooLarge,
    ContentTooSlow,
    InvalidAddress,
    StorageError,
    StorageRefused,
    StorageUnavailable,
)

__all__ = [
    "CONTENT_WITHIN_S",
    "MAX_CONTENT_BYTES",
    "SCHEME",
    "BlockCorrupt",
    "BlockMissing",
    "BlockTooLarge",
    "ContentMalformed",
    "ContentTooLarge",
    "ContentTooSlow",
    "InvalidAddress",
    "StorageError",
    "StorageRefused",
    "StorageUnavailable",
    "address",
    "get",
    "put",
    "put_meanwhile",
    "put_stream",
    "stream",
]
