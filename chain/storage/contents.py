"""Stores and reads contents in the block store that the settings name."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from django.conf import settings

from chain.protocol.digests import ADDRESS_SCHEME
from chain.storage.blocks import Blocks, LocalBlocks, Nowhere
from chain.storage.cids import Cid
from chain.storage.errors import ContentTooLarge
from chain.storage.kubo import kubo
from chain.storage.reader import read
from chain.storage.writer import write

MAX_CONTENT_BYTES = 64 * 1024 * 1024
CONTENT_WITHIN_S = 30.0
"""The default time limit for reading one content."""
THREADS = 16
"""The most contents that `put_meanwhile` writes to disk at the same time."""


def put(content: bytes) -> str:
    """Store a content and return its CID. Storing it again changes nothing.

    Raises:
        ContentTooLarge: the content has more than `MAX_CONTENT_BYTES`.
        StorageError: the store does not accept it.
    """
    return put_stream([content])


def put_meanwhile(content: bytes) -> tuple[str, Callable[[], object]]:
    """Start to store a content. Return its CID, and a callable that waits until it is stored.

    The caller can do other work while the disk confirms the write. In a Kubo node the content is
    already stored when this function returns.

    Both this function and the callable raise the errors of `put`.
    """
    blocks = _blocks()
    if not isinstance(blocks, LocalBlocks):
        return put(content), lambda: None
    cid = str(write(Nowhere(), _bounded([content])))
    return cid, _threads().submit(write, blocks, [content]).result


def put_stream(pieces: Iterable[bytes]) -> str:
    """Store a content that arrives in pieces, holding one chunk in memory. Otherwise like `put`."""
    return str(write(_blocks(), _bounded(pieces)))


def get(
    cid: str, max_bytes: int = MAX_CONTENT_BYTES, *, within_s: float = CONTENT_WITHIN_S
) -> bytes:
    """Return the content of a CID, verified.

    Args:
        within_s: time limit in seconds for the whole content.

    Raises:
        InvalidAddress: the text is not a CID of a raw leaf or a file.
        BlockMissing: the store does not have one of the blocks.
        BlockCorrupt: a stored block does not match its CID.
        ContentTooLarge: the content has more than `max_bytes`.
        ContentTooSlow: the content was not read within the time limit.
        StorageError: the content cannot be read for another reason, which the subclass names.
    """
    return b"".join(read(_blocks(), Cid.parse(cid), max_bytes, within_s))


def stream(cid: str, max_bytes: int = MAX_CONTENT_BYTES) -> Iterator[bytes]:
    """Yield the content of a CID, one block at a time. Raises the errors of `get` on iteration.

    There is a time limit for each block, but none for the whole content, since the consumer may be
    slow.
    """
    return read(_blocks(), Cid.parse(cid), max_bytes)


def address(cid: str) -> str:
    """Return the address of a CID, as it is written on chain."""
    return ADDRESS_SCHEME + cid


def _blocks() -> Blocks:
    if settings.IPFS_API_URL:
        return kubo(settings.IPFS_API_URL, settings.IPFS_TIMEOUT_S)
    return LocalBlocks(Path(settings.STORAGE_DIR))


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, "storage")


def _bounded(pieces: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > MAX_CONTENT_BYTES:
            raise ContentTooLarge(
                f"content: it exceeds the limit of {MAX_CONTENT_BYTES} bytes; send a smaller one"
            )
        yield piece
