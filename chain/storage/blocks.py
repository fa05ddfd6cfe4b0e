"""The interface of a block store, and its implementation in files."""

import math
import os
import secrets
from pathlib import Path
from typing import Protocol

from chain.storage.cids import Cid
from chain.storage.errors import BlockCorrupt, BlockMissing, BlockTooLarge

MAX_BLOCK_BYTES = 2 * 1024 * 1024
"""The largest block that is read. IPFS nodes exchange no larger ones.

Blocks that this package writes have at most half of this size.
"""


class Blocks(Protocol):
    """A store of blocks. It is not trusted: `fetch` verifies each block."""

    def put(self, cid: Cid, block: bytes) -> None:
        """Store a block. Storing it again changes nothing."""

    def get(self, cid: Cid, within_s: float = math.inf) -> bytes:
        """Return the stored block of a CID, unverified. Raise BlockMissing if there is none.

        Args:
            within_s: time limit in seconds for a store that has to wait for other nodes.
        """

    def keep(self, root: Cid) -> None:
        """Protect a root and all blocks under it from deletion. All of them were put before."""


def fetch(blocks: Blocks, cid: Cid, within_s: float = math.inf) -> bytes:
    """Return the block of a CID, verified.

    Raises:
        BlockCorrupt: the stored block does not match the CID.
        StorageError: the block cannot be read for another reason.
    """
    block = blocks.get(cid, within_s)
    if not cid.matches(block):
        raise BlockCorrupt(f"{cid}: the stored block does not match; remove it and put it again")
    return block


class LocalBlocks:
    """Blocks in files of one folder. Several processes may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, cid: Cid, block: bytes) -> None:
        """Store a block. It survives a crash once this method has returned."""
        path = self._path(cid)
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        # Readers see the whole block or none, and a crash leaves no partial file under its name.
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        with part.open("wb") as file:
            file.write(block)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)

    def get(self, cid: Cid, within_s: float = math.inf) -> bytes:
        """Read a block; raise BlockMissing or BlockTooLarge."""
        try:
            with self._path(cid).open("rb") as file:
                block = file.read(MAX_BLOCK_BYTES + 1)
        except FileNotFoundError:
            raise BlockMissing(f"{cid}: this store has no such block; put it there first") from None
        if len(block) > MAX_BLOCK_BYTES:
            raise BlockTooLarge.of(cid)
        return block

    def keep(self, root: Cid) -> None:
        """Do nothing: this store never deletes blocks."""

    def _path(self, cid: Cid) -> Path:
        name = str(cid)
        # The first characters of all CIDs are equal, while the last ones spread evenly.
        return self._folder / name[-3:-1] / name


class Nowhere:
    """A store that keeps nothing. It serves to compute the CID of a content."""

    def put(self, cid: Cid, block: bytes) -> None:
        """Do nothing."""

    def get(self, cid: Cid, within_s: float = math.inf) -> bytes:
        """Raise BlockMissing."""
        raise BlockMissing(f"{cid}: nothing is stored here")

    def keep(self, root: Cid) -> None:
        """Do nothing."""
