"""Content-addressed storage of prompts and results.

Reading a CID returns exactly the content that was stored under it, or raises an error.

A content of up to 1 MiB is one raw leaf. A larger content is a tree of leaves in the shape of the
profile `unixfs-v1-2025`, so that any IPFS implementation computes the same CID. Blocks are stored
in files under `settings.STORAGE_DIR`, or in a Kubo node if `settings.IPFS_API_URL` is set.
"""

from chain.storage.contents import (
    CONTENT_WITHIN_S,
    MAX_CONTENT_BYTES,
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
