"""Content identifiers (CIDv1, base32, SHA-256) of raw leaves and dag-pb nodes."""

import base64
import hashlib
import re
from dataclasses import dataclass

from chain.storage.errors import InvalidAddress

RAW, DAG_PB = 0x55, 0x70
CODEC_NAMES = {RAW: "raw", DAG_PB: "dag-pb"}
_VERSION_1, _SHA_256, _DIGEST_BYTES = 0x01, 0x12, 32
_TEXT = re.compile(r"b[a-z2-7]{58}")


@dataclass(frozen=True)
class Cid:
    """The identifier of one block: its codec and its SHA-256 digest."""

    codec: int
    digest: bytes

    @classmethod
    def of(cls, codec: int, block: bytes) -> "Cid":
        """Return the CID of a block."""
        return cls(codec, hashlib.sha256(block).digest())

    @classmethod
    def parse(cls, text: str) -> "Cid":
        """Parse a CID in base32, the form that addresses have. Raises InvalidAddress."""
        if _TEXT.fullmatch(text):
            cid = cls.from_bytes(base64.b32decode(text[1:].upper() + "=" * 6))
            # Base32 leaves two bits unused here. Of the four spellings, only one is canonical.
            if str(cid) == text:
                return cid
        raise InvalidAddress(
            f"cid: {text[:80]!r} is not a CIDv1 of a raw leaf (bafkrei…) or a file (bafybei…)"
            " in base32 with SHA-256; add the content with --cid-version=1"
        )

    @classmethod
    def from_bytes(cls, binary: bytes) -> "Cid":
        """Parse a binary CID, the form that links in blocks have. Raises InvalidAddress."""
        known = any(binary[:4] == _prefix(codec) for codec in CODEC_NAMES)
        if not known or len(binary) != 4 + _DIGEST_BYTES:
            raise InvalidAddress(
                f"cid: 0x{binary[:40].hex()} is not a CIDv1 of a raw leaf or a dag-pb node with"
                " SHA-256; add the content with --cid-version=1"
            )
        return cls(binary[1], binary[4:])

    def to_bytes(self) -> bytes:
        """Return the binary CID, the form that links in blocks have."""
        return _prefix(self.codec) + self.digest

    def matches(self, block: bytes) -> bool:
        """Return whether this is the CID of the block."""
        return hashlib.sha256(block).digest() == self.digest

    def __str__(self) -> str:
        return "b" + base64.b32encode(self.to_bytes()).decode().lower().rstrip("=")


def _prefix(codec: int) -> bytes:
    return bytes([_VERSION_1, codec, _SHA_256, _DIGEST_BYTES])
