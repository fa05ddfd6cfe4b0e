"""Writes a content as blocks: chunks of equal size, and a balanced tree of nodes above them.

The shape of the tree determines the CID, so it follows a published profile exactly (IPIP-499).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chain.storage.blocks import Blocks
from chain.storage.cids import DAG_PB, RAW, Cid
from chain.storage.nodes import Part, encode_node


@dataclass(frozen=True)
class Profile:
    """The shape of a tree: the size of a leaf in bytes, and the most links of a node."""

    chunk_bytes: int
    links: int


UNIXFS_V1_2025 = Profile(chunk_bytes=1024 * 1024, links=1024)
"""The profile that Kubo applies with `ipfs config profile apply unixfs-v1-2025`.

The JavaScript importer has it as `profile: 'unixfs-v1-2025'`.
"""


def write(blocks: Blocks, content: Iterable[bytes], profile: Profile = UNIXFS_V1_2025) -> Cid:
    """Store a content and return its CID. Memory holds one chunk of the content at a time.

    Raises:
        StorageError: the store does not accept it.
    """
    levels: list[list[Part]] = [[]]

    def add(part: Part, level: int) -> None:
        if level == len(levels):
            levels.append([])
        levels[level].append(part)
        if len(levels[level]) == profile.links:
            join(level)

    def join(level: int) -> None:
        parts, levels[level] = levels[level], []
        block = encode_node(parts)
        cid = Cid.of(DAG_PB, block)
        blocks.put(cid, block)
        size = sum(part.file_bytes for part in parts)
        add(Part(cid, size, len(block) + sum(part.tree_bytes for part in parts)), level + 1)

    for chunk in _chunks(content, profile.chunk_bytes):
        cid = Cid.of(RAW, chunk)
        blocks.put(cid, chunk)
        add(Part(cid, len(chunk), len(chunk)), 0)
    # Join the remaining parts of each level into a node one level up, until one part remains.
    for level, parts in enumerate(levels):
        is_top = level == len(levels) - 1
        if is_top and len(parts) == 1:
            break
        if parts:
            join(level)
    [root] = levels[-1]
    blocks.keep(root.cid)
    return root.cid


def _chunks(content: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield pieces of any size as chunks of equal size. An empty content is one empty chunk."""
    buffer, any_chunk = bytearray(), False
    for piece in content:
        view = memoryview(piece)
        while view:
            taken = view[: size - len(buffer)]
            buffer += taken
            view = view[len(taken) :]
            if len(buffer) == size:
                yield bytes(buffer)
                buffer.clear()
                any_chunk = True
    if buffer or not any_chunk:
        yield bytes(buffer)
