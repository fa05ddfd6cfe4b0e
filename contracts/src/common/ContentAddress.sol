// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title Content addresses in one storage word.
/// @notice The address `ipfs://b…` of a CIDv1 (raw block, SHA-256, base32) has 66 characters, but its only variable
///         part is the block's digest. The 32 bytes of the digest are stored, and views restore the text.
/// @dev The 52 letters after the prefix encode 260 bits: two zero bits of the prefix, the digest, and two zero bits
///      of padding. The library encodes and decodes 32 letters at a time, one letter per byte of a word.
library ContentAddress {
    uint256 internal constant LENGTH = 66;
    /// @dev `ipfs://`, the multibase letter `b`, and the first six base32 letters of 01 55 12 20. These 4 bytes are six
    ///      letters and two more bits, which are zero and share a letter with the digest.
    bytes14 private constant PREFIX = "ipfs://bafkrei";
    /// @dev The high 20 bytes: the letters after the first 32.
    uint256 private constant SECOND = uint256(type(uint160).max) << 96;
    /// @dev One in every byte.
    uint256 private constant ONES = type(uint256).max / 0xff;

    /// @return packed whether `text` is such an address in its canonical spelling
    /// @return digest the block's SHA-256; 0 if it is not
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
        // Clear the bytes after the end of the text, which belong to other data in memory.
        second &= SECOND;
        if (bytes14(start) != PREFIX) return (false, 0);
        // `a` is zero bits.
        digest = bytes32((_bits(first) << 98) | (_bits(second | (ONES * 0x61 & ~SECOND)) >> 62));
        // An invalid letter, or a set bit that has to be zero, gives other letters when it is encoded again.
        (uint256 canonicalFirst, uint256 canonicalSecond) = _lettersOf(digest);
        if (first != canonicalFirst || second != canonicalSecond) return (false, 0);
        packed = true;
    }

    /// @notice Restores the text that `pack` was given.
    function unpack(bytes32 digest) internal pure returns (string memory text) {
        text = new string(LENGTH);
        (uint256 first, uint256 second) = _lettersOf(digest);
        bytes14 prefix = PREFIX;
        assembly ("memory-safe") {
            mstore(add(text, 0x20), prefix)
            mstore(add(text, 0x2e), first)
            // The twelve zero bytes after the second group of letters are the padding of the text.
            mstore(add(text, 0x4e), second)
        }
    }

    /// @notice Computes `keccak256(abi.encode(a, b, c, unpack(digest)))` without creating the text.
    function hashWith(uint256 a, uint256 b, address c, bytes32 digest) internal pure returns (bytes32 hash) {
        (uint256 first, uint256 second) = _lettersOf(digest);
        bytes14 prefix = PREFIX;
        assembly ("memory-safe") {
            let words := mload(0x40)
            mstore(words, a)
            mstore(add(words, 0x20), b)
            mstore(add(words, 0x40), c)
            mstore(add(words, 0x60), 0x80) // the offset of the text
            mstore(add(words, 0x80), LENGTH)
            mstore(add(words, 0xe0), 0) // the padding after the text
            mstore(add(words, 0xa0), prefix)
            mstore(add(words, 0xae), first)
            mstore(add(words, 0xce), second)
            hash := keccak256(words, 0x100)
        }
    }

    function _lettersOf(bytes32 digest) private pure returns (uint256 first, uint256 second) {
        first = _letters(uint256(digest) >> 98);
        // Encode the lowest 98 bits, aligned so that they come before the letters that the mask removes.
        second = _letters((uint256(digest) << 158) >> 96) & SECOND;
    }

    /// @dev Encodes 160 bits as 32 letters.
    function _letters(uint256 x) private pure returns (uint256) {
        unchecked {
            x = (x & ((1 << 80) - 1)) | ((x >> 80) << 128);
            x = (x & _every(128, 40)) | ((x & (_every(128, 40) << 40)) << 24);
            x = (x & _every(64, 20)) | ((x & (_every(64, 20) << 20)) << 12);
            x = (x & _every(32, 10)) | ((x & (_every(32, 10) << 10)) << 6);
            x = (x & _every(16, 5)) | ((x & (_every(16, 5) << 5)) << 3);
            // 0 … 25 become a … z, and 26 … 31 become 2 … 7, which are 0x49 below the characters after z.
            uint256 digits = ((x + ONES * (0x80 - 26)) >> 7) & ONES;
            return x + ONES * 0x61 - digits * 0x49;
        }
    }

    /// @dev Decodes 32 letters to 160 bits. The result for other bytes is unspecified.
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

    /// @dev A mask of the lowest `bits` bits in every group of `lane` bits.
    function _every(uint256 lane, uint256 bits) private pure returns (uint256) {
        unchecked {
            return type(uint256).max / ((1 << lane) - 1) * ((1 << bits) - 1);
        }
    }
}
