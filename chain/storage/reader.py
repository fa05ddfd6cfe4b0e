"""Blocks back into a content, each verified before a byte of it is handed on.

A stranger may have made the tree: its sizes must add up, and it may not be deeper, larger or of
more blocks than a file of that size would be.
"""

import math
import time
from collections.abc import Iterator

from chain.storage.blocks import Blocks, fetch
from chain.storage.cids import RAW, Cid
from chain.storage.errors import ContentMalformed, ContentTooLarge, ContentTooSlow
from chain.storage.nodes import FileNode, decode_node

MAX_DEPTH = 16
MAX_BLOCKS = 16_384
"""Of one content, nodes included: 64 MiB in leaves of 4 KiB."""


def read(blocks: Blocks, root: Cid, max_bytes: int, within_s: float = math.inf) -> Iterator[bytes]:
    """The content of a CID in pieces; one block of it is in memory at a time.

    Any file that an IPFS implementation wrote with CIDv1 can be read, whatever its shape.

    Args:
        within_s: seconds for the whole content. A store bounds each block, but a stranger's tree
            may have thousands of them.

    Raises:
        StorageError: it cannot be had; ContentTooLarge if it has more than `max_bytes`,
            ContentTooSlow if it takes longer.
    """
    give_up_at = time.monotonic() + within_s
    fetched = 0
    # What is still to be read, the next one last: CID, depth, bytes that its parent promised.
    waiting: list[tuple[Cid, int, int | None]] = [(root, 0, None)]
    while waiting:
        cid, depth, promised = waiting.pop()
        fetched += 1
        if fetched > MAX_BLOCKS:
            raise ContentTooLarge(f"{root}: more than {MAX_BLOCKS} blocks; add it in larger chunks")
        left_s = give_up_at - time.monotonic()
        if left_s <= 0:
            raise ContentTooSlow(
                f"{root}: not read within {within_s:g} s; put it where it is found sooner"
            )
        block = fetch(blocks, cid, left_s)
        node = FileNode(len(block), block) if cid.codec == RAW else decode_node(cid, block)
        if promised is None and node.size > max_bytes:
            raise ContentTooLarge(
                f"{root}: {node.size} bytes, and at most {max_bytes} are read; store less"
            )
        if promised is not None and node.size != promised:
            raise ContentMalformed(f"{cid}: {node.size} bytes, and its parent says {promised}")
        if node.links and depth == MAX_DEPTH:
            raise ContentMalformed(f"{root}: deeper than {MAX_DEPTH} nodes")
        if node.data or promised is None:
            yield node.data
        children = zip(node.links, node.sizes, strict=True)
        waiting += reversed([(link, depth + 1, size) for link, size in children])
