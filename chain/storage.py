"""Results and prompts by their content: what is read is what was written, or an error.

Blocks are raw leaves (CIDv1, SHA-256) in files under `settings.STORAGE_DIR`.
"""

import os
import re
import secrets
from pathlib import Path

from django.conf import settings

from chain.errors import ChainError
from chain.messages import raw_cid

SCHEME = "ipfs://"
MAX_BLOCK_BYTES = 1024 * 1024
"""What a raw leaf may hold; IPFS nodes exchange no larger blocks reliably."""

_RAW_CID = re.compile(r"bafkrei[a-z2-7]{52}")


class StorageError(ChainError):
    """Base: the content cannot be stored or had."""


class BlockMissing(StorageError):
    """This store has no block of that address."""


class BlockCorrupt(StorageError):
    """What lies under the address is something else."""


class BlockTooLarge(StorageError):
    """The content does not fit in one block."""


class InvalidAddress(StorageError):
    """The text is no address of a raw leaf."""


def put(content: bytes) -> str:
    """Store some content and return its CID. Storing it again changes nothing.

    Raises:
        BlockTooLarge: it has more than `MAX_BLOCK_BYTES`.
    """
    if len(content) > MAX_BLOCK_BYTES:
        raise BlockTooLarge(
            f"content: {len(content)} bytes; a block holds at most {MAX_BLOCK_BYTES}: send less"
        )
    cid = raw_cid(content)
    path = _path(cid)
    if path.exists():
        return cid
    path.parent.mkdir(parents=True, exist_ok=True)
    # A reader sees the whole block or none, and a crash leaves no half under the real name.
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    return cid


def get(cid: str) -> bytes:
    """Return the content of a CID, verified against it.

    Raises:
        InvalidAddress: it is no CID of a raw leaf.
        BlockMissing: this store does not have it.
        BlockCorrupt: what is stored does not have that CID.
    """
    try:
        content = _path(cid).read_bytes()
    except FileNotFoundError:
        raise BlockMissing(f"{cid}: this store has no such block; put it there first") from None
    if raw_cid(content) != cid:
        raise BlockCorrupt(f"{cid}: the stored block is something else; remove it, put it again")
    return content


def address(cid: str) -> str:
    """How a CID is written on chain."""
    return SCHEME + cid


def _path(cid: str) -> Path:
    # The pattern also keeps a stranger's "address" from naming any other file.
    if not _RAW_CID.fullmatch(cid):
        raise InvalidAddress(f"cid: {cid[:80]!r} is no CIDv1 of a raw leaf (bafkrei…)")
    # The first characters are the same for every block; the last ones spread evenly.
    return Path(settings.STORAGE_DIR) / cid[-3:-1] / cid
