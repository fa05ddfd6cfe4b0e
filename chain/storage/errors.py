"""What can go wrong with a content."""

from chain.errors import ChainError


class StorageError(ChainError):
    """Base: the content cannot be stored or had."""


class InvalidAddress(StorageError):
    """The text is no address of a content that is stored here."""


class BlockMissing(StorageError):
    """The store has no block of that CID."""


class BlockCorrupt(StorageError):
    """What the store gave for a CID is something else."""


class BlockTooLarge(BlockCorrupt):
    """The block is larger than any that is exchanged, so nobody reads it to its end."""

    @classmethod
    def of(cls, cid: object) -> "BlockTooLarge":
        return cls(f"{cid}: the stored block is larger than blocks may be; add it in chunks")


class ContentMalformed(StorageError):
    """The blocks are what their CIDs say, and yet are no file."""


class ContentTooLarge(StorageError):
    """The content has more bytes, or more blocks, than the caller takes."""


class ContentTooSlow(StorageError):
    """The content did not come in the time that the caller gives it; it may be there later."""


class StorageRefused(StorageError):
    """The store answered that it does not do this; trying again changes nothing."""


class StorageUnavailable(StorageError, ConnectionError):
    """The store does not answer, and may later; like any OSError it is worth another try."""
