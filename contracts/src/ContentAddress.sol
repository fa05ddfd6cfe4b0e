// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title Content addresses in one storage word.
/// @notice `ipfs://b…` of a CIDv1 (raw block, SHA-256, base32) says nothing but the block's digest: 66
///         characters, of which 32 bytes are stored and the rest is put back when somebody asks.
library ContentAddress {
    uint256 private constant LENGTH = 66;
    uint256 private constant PREFIX_LENGTH = 14;
    /// @dev `ipfs://`, the multibase letter `b`, and the base32 of 01 55 12 20 as far as the digest's bits
    ///      do not reach: 4 bytes are six letters and two bits, and those two bits are zero.
    bytes14 private constant PREFIX = "ipfs://bafkrei";
    bytes32 private constant ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";

    /// @return packed whether `text` is such an address, written in the one canonical way
    /// @return digest the block's SHA-256
    function pack(string memory text) internal pure returns (bool packed, bytes32 digest) {
        bytes memory letters = bytes(text);
        if (letters.length != LENGTH || bytes14(_word(letters, 0)) != PREFIX) return (false, 0);
        uint256 bits;
        // 52 letters carry 260 bits: the first one's two high bits belong to the prefix, the last one's two
        // low bits are padding, and both pairs must be zero.
        for (uint256 i = PREFIX_LENGTH; i < LENGTH; ++i) {
            uint256 value = _value(uint8(letters[i]));
            if (value > 31) return (false, 0);
            if (i == PREFIX_LENGTH && value > 7) return (false, 0);
            if (i == LENGTH - 1) {
                if (value & 3 != 0) return (false, 0);
                bits = (bits << 3) | (value >> 2);
            } else {
                bits = (bits << 5) | value;
            }
        }
        return (true, bytes32(bits));
    }

    /// @notice The text that `pack` took in.
    function unpack(bytes32 digest) internal pure returns (string memory) {
        bytes memory letters = new bytes(LENGTH);
        for (uint256 i; i < PREFIX_LENGTH; ++i) {
            letters[i] = PREFIX[i];
        }
        uint256 bits = uint256(digest);
        letters[LENGTH - 1] = ALPHABET[(bits & 7) << 2];
        bits >>= 3;
        for (uint256 i = LENGTH - 1; i > PREFIX_LENGTH;) {
            letters[--i] = ALPHABET[bits & 31];
            bits >>= 5;
        }
        return string(letters);
    }

    function _word(bytes memory data, uint256 offset) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(add(data, 32), offset))
        }
    }

    /// @dev A base32 letter's value, or something above 31.
    function _value(uint8 letter) private pure returns (uint256) {
        if (letter >= 0x61 && letter <= 0x7a) return letter - 0x61; // a … z
        if (letter >= 0x32 && letter <= 0x37) return letter - 0x32 + 26; // 2 … 7
        return 32;
    }
}
