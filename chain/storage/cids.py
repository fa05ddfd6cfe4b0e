"""Content identifiers of version 1 in base32, with SHA-256, of raw leaves and dag-pb nodes."""

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
    """The name of one block: how it is to be read, and its SHA-256."""

    codec: int
    digest: bytes

    @classmethod
    def of(cls, codec: int, block: bytes) -> "Cid":
        """The CID of a block."""
        return cls(codec, hashlib.sha256(block).digest())

    @classmethod
    def parse(cls, text: str) -> "Cid":
        """Read a CID as it is written in addresses. Raises InvalidAddress."""
        if _TEXT.fullmatch(text):
            cid = cls.from_bytes(base64.b32decode(text[1:].upper() + "=" * 6))
            # Base32 has two bits to spare here: only one of four spellings is the CID's.
            if str(cid) == text:
                return cid
        raise InvalidAddress(
            f"cid: {text[:80]!r} is no CIDv1 of a raw leaf (bafkrei…) or a file (bafybei…)"
            " in base32 with SHA-256; add the content with --cid-version=1"
        )

    @classmethod
    def from_bytes(cls, binary: bytes) -> "Cid":
        """Read a CID as it is written in blocks. Raises InvalidAddress."""
        known = any(binary[:4] == _prefix(codec) for codec in CODEC_NAMES)
        if not known or len(binary) != 4 + _DIGEST_BYTES:
            raise InvalidAddress(
                f"cid: 0x{binary[:40].hex()} is no CIDv1 of a raw leaf or a dag-pb node with"
                " SHA-256; add the content with --cid-version=1"
            )
        return cls(binary[1], binary[4:])

    def to_bytes(self) -> bytes:
        """The CID as it is written in blocks."""
        return _prefix(self.codec) + self.digest

    def matches(self, block: bytes) -> bool:
        """Whether this is the block's name."""
        return hashlib.sha256(block).digest() == self.digest

    def __str__(self) -> str:
        return "b" + base64.b32encode(self.to_bytes()).decode().lower().rstrip("=")


def _prefix(codec: int) -> bytes:
    return bytes([_VERSION_1, codec, _SHA_256, _DIGEST_BYTES])
