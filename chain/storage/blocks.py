"""Where blocks lie: the interface, and the files of this machine."""

import math
import os
import secrets
from pathlib import Path
from typing import Protocol

from chain.storage.cids import Cid
from chain.storage.errors import BlockCorrupt, BlockMissing, BlockTooLarge

MAX_BLOCK_BYTES = 2 * 1024 * 1024
"""Of a block that is read; IPFS nodes exchange no larger ones. Those that are written have half."""


class Blocks(Protocol):
    """A store of blocks. It need not be believed: `fetch` checks what it gives."""

    def put(self, cid: Cid, block: bytes) -> None:
        """Store a block. Storing it again changes nothing."""

    def get(self, cid: Cid, within_s: float = math.inf) -> bytes:
        """What the store has under a CID; raise BlockMissing.

        Args:
            within_s: seconds after which a store that has to wait for others gives up.
        """

    def keep(self, root: Cid) -> None:
        """See to it that a root and all that it links to stays. All of it has been put."""


def fetch(blocks: Blocks, cid: Cid, within_s: float = math.inf) -> bytes:
    """The block of a CID, verified.

    Raises:
        StorageError: it cannot be had; BlockCorrupt if the store has something else.
    """
    block = blocks.get(cid, within_s)
    if not cid.matches(block):
        raise BlockCorrupt(f"{cid}: the stored block is something else; remove it, put it again")
    return block


class LocalBlocks:
    """Blocks in files of one folder. Processes may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, cid: Cid, block: bytes) -> None:
        """Store a block, safe from a crash once this returns."""
        path = self._path(cid)
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        # A reader sees the whole block or none, and a crash leaves no half under the real name.
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
        """Nothing to do: this store throws nothing away."""

    def _path(self, cid: Cid) -> Path:
        name = str(cid)
        # The first characters are the same for every block; the last ones spread evenly.
        return self._folder / name[-3:-1] / name


class Nowhere:
    """Stores nothing: for a content's CID alone."""

    def put(self, cid: Cid, block: bytes) -> None:
        """Nothing to do."""

    def get(self, cid: Cid, within_s: float = math.inf) -> bytes:
        """Raise BlockMissing."""
        raise BlockMissing(f"{cid}: nothing is stored here")

    def keep(self, root: Cid) -> None:
        """Nothing to do."""
