"""Contents into the store that the settings name, and back."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from django.conf import settings

from chain.storage.blocks import Blocks, LocalBlocks, Nowhere
from chain.storage.cids import Cid
from chain.storage.errors import ContentTooLarge
from chain.storage.kubo import kubo
from chain.storage.reader import read
from chain.storage.writer import write

SCHEME = "ipfs://"
MAX_CONTENT_BYTES = 64 * 1024 * 1024
CONTENT_WITHIN_S = 30.0
"""For one content, unless the caller says otherwise."""
THREADS = 16
"""How many contents may be on their way to the disk."""


def put(content: bytes) -> str:
    """Store a content and return its CID. Storing it again changes nothing.

    Raises:
        ContentTooLarge: it has more than `MAX_CONTENT_BYTES`.
        StorageError: the store does not take it.
    """
    return put_stream([content])


def put_meanwhile(content: bytes) -> tuple[str, Callable[[], object]]:
    """Return a content's CID at once; the content is stored once the callable has returned.

    A disk takes a while to confirm, which the caller has other uses for. A store that is elsewhere
    may take long, and has the content before this returns. Both raise like `put`.
    """
    blocks = _blocks()
    if not isinstance(blocks, LocalBlocks):
        return put(content), lambda: None
    cid = str(write(Nowhere(), _bounded([content])))
    return cid, _threads().submit(write, blocks, [content]).result


def put_stream(pieces: Iterable[bytes]) -> str:
    """Store a content that comes in pieces, of which memory holds one chunk. Else like `put`."""
    return str(write(_blocks(), _bounded(pieces)))


def get(
    cid: str, max_bytes: int = MAX_CONTENT_BYTES, *, within_s: float = CONTENT_WITHIN_S
) -> bytes:
    """Return the content of a CID, verified against it.

    Args:
        within_s: seconds for all of it, whatever one block may take.

    Raises:
        InvalidAddress: it is no CID of a raw leaf or a file.
        BlockMissing: the store does not have it.
        BlockCorrupt: what is stored does not have that CID.
        ContentTooLarge: it has more than `max_bytes`.
        ContentTooSlow: it did not come in time.
        StorageError: it cannot be had for another reason, which the subclass names.
    """
    return b"".join(read(_blocks(), Cid.parse(cid), max_bytes, within_s))


def stream(cid: str, max_bytes: int = MAX_CONTENT_BYTES) -> Iterator[bytes]:
    """The content of a CID in pieces of a block each. Else like `get`, while it is iterated.

    Only each block's time is bounded: whoever iterates may be slow.
    """
    return read(_blocks(), Cid.parse(cid), max_bytes)


def address(cid: str) -> str:
    """How a CID is written on chain."""
    return SCHEME + cid


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
                f"content: more than {MAX_CONTENT_BYTES} bytes, which is the most that is stored;"
                " send less"
            )
        yield piece
