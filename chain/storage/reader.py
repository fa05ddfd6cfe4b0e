"""Reads a content from its blocks. Each block is verified before any of its bytes are returned.

The tree may come from an untrusted client. Its sizes must add up, and its depth, its size and its
number of blocks are limited.
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
"""The most blocks of one content, inner nodes included: enough for 64 MiB in leaves of 4 KiB."""


def read(blocks: Blocks, root: Cid, max_bytes: int, within_s: float = math.inf) -> Iterator[bytes]:
    """Yield the content of a CID in pieces, holding one block in memory at a time.

    The function reads any file that an IPFS implementation wrote with CIDv1, whatever the shape of
    its tree.

    Args:
        within_s: time limit in seconds for the whole content. The store limits the time of each
            block, but an untrusted tree may have thousands of them.

    Raises:
        ContentTooLarge: the content has more than `max_bytes`, or too many blocks.
        ContentTooSlow: the content was not read within the time limit.
        StorageError: the content cannot be read for another reason.
    """
    give_up_at = time.monotonic() + within_s
    fetched = 0
    # A stack of blocks to read: CID, depth, and the size that the parent states.
    waiting: list[tuple[Cid, int, int | None]] = [(root, 0, None)]
    while waiting:
        cid, depth, promised = waiting.pop()
        fetched += 1
        if fetched > MAX_BLOCKS:
            raise ContentTooLarge(
                f"{root}: it has more than {MAX_BLOCKS} blocks; add it in larger chunks"
            )
        left_s = give_up_at - time.monotonic()
        if left_s <= 0:
            raise ContentTooSlow(
                f"{root}: not read within {within_s:g} s; store it on a node that answers faster"
            )
        block = fetch(blocks, cid, left_s)
        node = FileNode(len(block), block) if cid.codec == RAW else decode_node(cid, block)
        if promised is None and node.size > max_bytes:
            raise ContentTooLarge(
                f"{root}: it has {node.size} bytes, but the limit is {max_bytes}; store less"
            )
        if promised is not None and node.size != promised:
            raise ContentMalformed(
                f"{cid}: it has {node.size} bytes, but its parent states {promised}"
            )
        if node.links and depth == MAX_DEPTH:
            raise ContentMalformed(f"{root}: its tree is deeper than {MAX_DEPTH} nodes")
        if node.data or promised is None:
            yield node.data
        children = zip(node.links, node.sizes, strict=True)
        waiting += reversed([(link, depth + 1, size) for link, size in children])
