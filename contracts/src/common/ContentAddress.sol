// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title Content addresses in one storage word.
/// @notice `ipfs://b…` of a CIDv1 (raw block, SHA-256, base32) says nothing but the block's digest: 66
///         characters, of which 32 bytes are stored and the rest is put back when somebody asks.
/// @dev The 52 letters after the prefix carry 260 bits: two zero bits that belong to the prefix, the digest,
///      two zero bits of padding. They are turned into letters and back 32 at a time, one byte each.
library ContentAddress {
    uint256 internal constant LENGTH = 66;
    /// @dev `ipfs://`, the multibase letter `b`, and the base32 of 01 55 12 20 as far as the digest's bits
    ///      do not reach: 4 bytes are six letters and two bits, and those two bits are zero.
    bytes14 private constant PREFIX = "ipfs://bafkrei";
    /// @dev The high 20 bytes: the letters after the first 32.
    uint256 private constant SECOND = uint256(type(uint160).max) << 96;
    /// @dev One in every byte.
    uint256 private constant ONES = type(uint256).max / 0xff;

    /// @return packed whether `text` is such an address, written in the one canonical way
    /// @return digest the block's SHA-256; 0 when it is not
    function pack(string memory text) internal pure returns (bool packed, bytes32 digest) {
        if (bytes(text).length != LENGTH) return (false, 0);
        bytes32 start;
        uint256 first;
        uint256 second;
        assembly ("memory-safe") {
            start := mload(add(text, 0x20))
            first := mload(add(text, 0x2e))
            second := mload(add(text, 0x4e))
        }
        // What follows the text in memory is not its own.
        second &= SECOND;
        if (bytes14(start) != PREFIX) return (false, 0);
        // `a` is zero bits.
        digest = bytes32((_bits(first) << 98) | (_bits(second | (ONES * 0x61 & ~SECOND)) >> 62));
        // A letter that is none, or a bit that should be zero, does not come back.
        (uint256 canonicalFirst, uint256 canonicalSecond) = _lettersOf(digest);
        if (first != canonicalFirst || second != canonicalSecond) return (false, 0);
        packed = true;
    }

    /// @notice The text that `pack` took in.
    function unpack(bytes32 digest) internal pure returns (string memory text) {
        text = new string(LENGTH);
        (uint256 first, uint256 second) = _lettersOf(digest);
        bytes14 prefix = PREFIX;
        assembly ("memory-safe") {
            mstore(add(text, 0x20), prefix)
            mstore(add(text, 0x2e), first)
            // The twelve zero bytes after the second letters are the text's own padding.
            mstore(add(text, 0x4e), second)
        }
    }

    /// @notice `keccak256(abi.encode(a, b, c, unpack(digest)))`, without the text in between.
    function hashWith(uint256 a, uint256 b, address c, bytes32 digest) internal pure returns (bytes32 hash) {
        (uint256 first, uint256 second) = _lettersOf(digest);
        bytes14 prefix = PREFIX;
        assembly ("memory-safe") {
            let words := mload(0x40)
            mstore(words, a)
            mstore(add(words, 0x20), b)
            mstore(add(words, 0x40), c)
            mstore(add(words, 0x60), 0x80) // where the text begins
            mstore(add(words, 0x80), LENGTH)
            mstore(add(words, 0xe0), 0) // the padding behind it
            mstore(add(words, 0xa0), prefix)
            mstore(add(words, 0xae), first)
            mstore(add(words, 0xce), second)
            hash := keccak256(words, 0x100)
        }
    }

    function _lettersOf(bytes32 digest) private pure returns (uint256 first, uint256 second) {
        first = _letters(uint256(digest) >> 98);
        // The lowest 98 bits, with the padding in front of the places that are cut off.
        second = _letters((uint256(digest) << 158) >> 96) & SECOND;
    }

    /// @dev 160 bits as 32 letters.
    function _letters(uint256 x) private pure returns (uint256) {
        unchecked {
            x = (x & ((1 << 80) - 1)) | ((x >> 80) << 128);
            x = (x & _every(128, 40)) | ((x & (_every(128, 40) << 40)) << 24);
            x = (x & _every(64, 20)) | ((x & (_every(64, 20) << 20)) << 12);
            x = (x & _every(32, 10)) | ((x & (_every(32, 10) << 10)) << 6);
            x = (x & _every(16, 5)) | ((x & (_every(16, 5) << 5)) << 3);
            // 0 … 25 are a … z, 26 … 31 are 2 … 7: 0x49 below where the letters would go on.
            uint256 digits = ((x + ONES * (0x80 - 26)) >> 7) & ONES;
            return x + ONES * 0x61 - digits * 0x49;
        }
    }

    /// @dev 32 letters as 160 bits; of other bytes, some bits.
    function _bits(uint256 x) private pure returns (uint256) {
        unchecked {
            uint256 isDigit = ONES ^ (((x + ONES * (0x80 - 0x61)) >> 7) & ONES);
            x = x + isDigit * 0x49 - ONES * 0x61;
            x = (x & _every(16, 5)) | ((x >> 3) & (_every(16, 5) << 5));
            x = (x & _every(32, 10)) | ((x >> 6) & (_every(32, 10) << 10));
            x = (x & _every(64, 20)) | ((x >> 12) & (_every(64, 20) << 20));
            x = (x & _every(128, 40)) | ((x >> 24) & (_every(128, 40) << 40));
            return (x & ((1 << 80) - 1)) | ((x >> 128) << 80);
        }
    }

    /// @dev The lowest `bits` bits of every `lane` bits.
    function _every(uint256 lane, uint256 bits) private pure returns (uint256) {
        unchecked {
            return type(uint256).max / ((1 << lane) - 1) * ((1 << bits) - 1);
        }
    }
}
