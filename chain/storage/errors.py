"""Errors of the content storage."""

from chain.errors import ChainError


class StorageError(ChainError):
    """Base class: the content cannot be stored or read."""


class InvalidAddress(StorageError):
    """The text is not a CID of a kind that this package can read."""


class BlockMissing(StorageError):
    """The store has no block with this CID."""


class BlockCorrupt(StorageError):
    """The store returned a block that does not match its CID."""


class BlockTooLarge(BlockCorrupt):
    """The block exceeds the size limit, so it is not read to its end."""

    @classmethod
    def of(cls, cid: object) -> "BlockTooLarge":
        """Return the error for a block."""
        return cls(f"{cid}: the stored block exceeds the size limit; add the content in chunks")


class ContentMalformed(StorageError):
    """The blocks match their CIDs, but do not form a valid file."""


class ContentTooLarge(StorageError):
    """The content has more bytes or more blocks than the caller accepts."""


class ContentTooSlow(StorageError):
    """The content was not read within the caller's time limit. It may be available later."""


class StorageRefused(StorageError):
    """The store refused the request. A retry does not help."""


class StorageUnavailable(StorageError, ConnectionError):
    """The store does not answer. As with any OSError, a retry may help."""
