"""The inner blocks of a file: dag-pb nodes that contain a UnixFS entry.

Nodes are encoded with links before data and with empty link names, as in all implementations. Any
other encoding would give another CID.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from chain.storage.cids import Cid
from chain.storage.errors import ContentMalformed, InvalidAddress
from chain.storage.protobuf import MalformedMessage, bytes_field, number_field, read_fields

_RAW_TYPE, _FILE_TYPE = 0, 2
# Field numbers of PBNode, PBLink and the UnixFS entry.
_NODE_DATA, _NODE_LINKS = 1, 2
_LINK_HASH, _LINK_NAME, _LINK_SIZE = 1, 2, 3
_ENTRY_TYPE, _ENTRY_DATA, _ENTRY_FILE_SIZE, _ENTRY_BLOCK_SIZES = 1, 2, 3, 4


@dataclass(frozen=True)
class Part:
    """A part of a file: one block and everything under it.

    `file_bytes` is the part's share of the file. `tree_bytes` is the size of all its blocks.
    """

    cid: Cid
    file_bytes: int
    tree_bytes: int


@dataclass(frozen=True)
class FileNode:
    """A decoded node: the file's bytes in the node itself, and links to the bytes after them.

    `sizes` has the number of the file's bytes under each link. `size` is the total.
    """

    size: int
    data: bytes = b""
    links: Sequence[Cid] = ()
    sizes: Sequence[int] = ()


def encode_node(parts: Sequence[Part]) -> bytes:
    """Encode a node that links to parts of a file."""
    links = b"".join(
        bytes_field(
            _NODE_LINKS,
            bytes_field(_LINK_HASH, part.cid.to_bytes())
            + bytes_field(_LINK_NAME, b"")
            + number_field(_LINK_SIZE, part.tree_bytes),
        )
        for part in parts
    )
    entry = (
        number_field(_ENTRY_TYPE, _FILE_TYPE)
        + number_field(_ENTRY_FILE_SIZE, sum(part.file_bytes for part in parts))
        + b"".join(number_field(_ENTRY_BLOCK_SIZES, part.file_bytes) for part in parts)
    )
    return links + bytes_field(_NODE_DATA, entry)


def decode_node(cid: Cid, block: bytes) -> FileNode:
    """Decode a node.

    Raises:
        ContentMalformed: the block is not a node of a file, or its sizes are inconsistent.
    """
    try:
        node = _read(block)
    except (MalformedMessage, InvalidAddress) as error:
        raise ContentMalformed(
            f"{cid}: not a node of a file ({error}); add the content as a file"
        ) from error
    if len(node.sizes) != len(node.links):
        raise ContentMalformed(f"{cid}: {len(node.links)} links, but {len(node.sizes)} sizes")
    if node.size != len(node.data) + sum(node.sizes):
        raise ContentMalformed(f"{cid}: the sizes of its parts do not add up to {node.size} bytes")
    if 0 in node.sizes:
        raise ContentMalformed(f"{cid}: a part is empty")
    return node


@dataclass
class _Entry:
    """A UnixFS entry while it is being decoded."""

    kind: int = -1
    data: bytes = b""
    size: int | None = None
    sizes: list[int] = field(default_factory=list)


def _read(block: bytes) -> FileNode:
    entry, links = _Entry(), []
    for number, value in read_fields(block):
        if number == _NODE_LINKS:
            links.append(_read_link(_bytes(value)))
        elif number == _NODE_DATA:
            entry = _read_entry(_bytes(value))
    if entry.kind not in (_RAW_TYPE, _FILE_TYPE):
        raise MalformedMessage(f"an entry of type {entry.kind}, not a file")
    # An entry without links may omit its size.
    size = len(entry.data) if entry.size is None and not links else entry.size
    return FileNode(-1 if size is None else size, entry.data, links, entry.sizes)


def _read_link(message: bytes) -> Cid:
    for number, value in read_fields(message):
        if number == _LINK_HASH:
            return Cid.from_bytes(_bytes(value))
    raise MalformedMessage("a link has no CID")


def _read_entry(message: bytes) -> _Entry:
    entry = _Entry()
    for number, value in read_fields(message):
        if number == _ENTRY_TYPE:
            entry.kind = _number(value)
        elif number == _ENTRY_DATA:
            entry.data = _bytes(value)
        elif number == _ENTRY_FILE_SIZE:
            entry.size = _number(value)
        elif number == _ENTRY_BLOCK_SIZES:
            entry.sizes.append(_number(value))
    return entry


def _number(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise MalformedMessage("bytes instead of a number")
    return value


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise MalformedMessage("a number instead of bytes")
    return value
