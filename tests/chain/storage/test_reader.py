"""Untrusted UnixFS trees: files are read, and everything else is refused with a reason."""

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.storage.cids import DAG_PB, RAW, Cid
from chain.storage.errors import (
    BlockMissing,
    ContentMalformed,
    ContentTooLarge,
    InvalidAddress,
    StorageError,
)
from chain.storage.nodes import Part, encode_node
from chain.storage.protobuf import bytes_field, number_field
from chain.storage.reader import MAX_BLOCKS, MAX_DEPTH, read
from chain.storage.writer import Profile, write

FILE, DIRECTORY, RAW_ENTRY = 2, 1, 0


class Memory:
    """Blocks in a dictionary."""

    def __init__(self) -> None:
        self.blocks: dict[Cid, bytes] = {}
        self.roots: list[Cid] = []

    def put(self, cid: Cid, block: bytes) -> None:
        self.blocks[cid] = block

    def get(self, cid: Cid, within_s: float = math.inf) -> bytes:
        try:
            return self.blocks[cid]
        except KeyError:
            raise BlockMissing(str(cid)) from None

    def keep(self, root: Cid) -> None:
        self.roots.append(root)

    def add(self, codec: int, block: bytes) -> Cid:
        cid = Cid.of(codec, block)
        self.put(cid, block)
        return cid


@pytest.fixture
def memory() -> Memory:
    return Memory()


def leaf(memory: Memory, content: bytes) -> Part:
    return Part(memory.add(RAW, content), len(content), len(content))


def node(memory: Memory, *parts: Part) -> Part:
    block = encode_node(parts)
    size = sum(part.file_bytes for part in parts)
    return Part(memory.add(DAG_PB, block), size, len(block))


def entry(
    kind: int, data: bytes = b"", size: int | None = None, sizes: tuple[int, ...] = ()
) -> bytes:
    """Return the data of an untrusted UnixFS node."""
    return bytes_field(
        1,
        number_field(1, kind)
        + (bytes_field(2, data) if data else b"")
        + (number_field(3, size) if size is not None else b"")
        + b"".join(number_field(4, part) for part in sizes),
    )


def content(memory: Memory, root: Cid, max_bytes: int = 10_000) -> bytes:
    return b"".join(read(memory, root, max_bytes))


@given(st.binary(max_size=300), st.integers(1, 20), st.integers(2, 5))
def test_what_is_written_is_read(data: bytes, chunk_bytes: int, links: int) -> None:
    memory = Memory()
    root = write(memory, [data], Profile(chunk_bytes, links))
    assert content(memory, root) == data
    assert memory.roots == [root]


@pytest.mark.parametrize("kind", [FILE, RAW_ENTRY])
def test_leaves_of_older_imports_are_read(memory: Memory, kind: int) -> None:
    first = memory.add(DAG_PB, entry(kind, b"old ", 4))
    second = memory.add(DAG_PB, entry(kind, b"leaves"))
    root = node(memory, Part(first, 4, 12), Part(second, 6, 12))
    assert content(memory, root.cid) == b"old leaves"


def test_an_empty_file_of_an_older_import_is_read(memory: Memory) -> None:
    assert content(memory, memory.add(DAG_PB, entry(FILE, size=0))) == b""


def test_a_tree_with_data_in_its_inner_nodes_is_read(memory: Memory) -> None:
    part = leaf(memory, b"tail")
    link = bytes_field(2, bytes_field(1, part.cid.to_bytes()))
    root = memory.add(DAG_PB, link + entry(FILE, b"head ", 9, (4,)))
    assert content(memory, root) == b"head tail"


def test_a_directory_is_no_content(memory: Memory) -> None:
    root = memory.add(DAG_PB, entry(DIRECTORY))
    with pytest.raises(ContentMalformed, match="type 1"):
        content(memory, root)


def test_sizes_must_add_up(memory: Memory) -> None:
    part = leaf(memory, b"four")
    lies = {
        "sizes of its parts": bytes_field(2, bytes_field(1, part.cid.to_bytes()))
        + entry(FILE, size=5, sizes=(4,)),
        "1 links, but 2 sizes": bytes_field(2, bytes_field(1, part.cid.to_bytes()))
        + entry(FILE, size=8, sizes=(4, 4)),
        "its parent states": bytes_field(2, bytes_field(1, part.cid.to_bytes()))
        + entry(FILE, size=3, sizes=(3,)),
    }
    for reason, block in lies.items():
        with pytest.raises(ContentMalformed, match=reason):
            content(memory, memory.add(DAG_PB, block))


def test_a_small_tree_that_unfolds_without_end_is_refused(memory: Memory) -> None:
    """A few blocks with repeated links: 2^40 bytes in forty nodes, or very many empty parts."""
    part = leaf(memory, b"x")
    for _ in range(40):
        part = node(memory, part, part)
    with pytest.raises(ContentTooLarge):
        content(memory, part.cid)
    with pytest.raises(ContentMalformed, match="a part is empty"):
        content(memory, node(memory, *[leaf(memory, b"")] * 1000).cid)
    chain = leaf(memory, b"x")
    for _ in range(MAX_DEPTH + 1):
        chain = node(memory, chain)
    with pytest.raises(ContentMalformed, match="deeper"):
        content(memory, chain.cid)
    wide = node(memory, *[leaf(memory, b"x")] * (MAX_BLOCKS + 1))
    with pytest.raises(ContentTooLarge, match="blocks"):
        content(memory, wide.cid, max_bytes=10**6)


def test_other_hashes_and_codecs_are_not_followed(memory: Memory) -> None:
    sha512 = bytes([0x01, 0x55, 0x13, 0x40]) + bytes(64)
    root = memory.add(
        DAG_PB, bytes_field(2, bytes_field(1, sha512)) + entry(FILE, size=1, sizes=(1,))
    )
    with pytest.raises(ContentMalformed, match="SHA-256"):
        content(memory, root)
    with pytest.raises(InvalidAddress):
        Cid.from_bytes(sha512)


@given(st.binary(max_size=200))
def test_whatever_the_bytes_are_the_answer_is_a_content_or_a_named_error(block: bytes) -> None:
    memory = Memory()
    root = memory.add(DAG_PB, block)
    with suppress(StorageError):  # no other error may be raised
        assert len(content(memory, root)) <= len(block)
