// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title Hashes of a few words: `keccak256(abi.encode(…))` without allocating memory.
/// @dev The words are written to free memory, which nothing else uses in the meantime. Every element of a batch
///      computes several of these hashes. The compiler's code would allocate memory for each encoding.
library Words {
    function hash5(bytes32 a, uint256 b, uint256 c, bytes32 d, bytes32 e) internal pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let words := mload(0x40)
            mstore(words, a)
            mstore(add(words, 0x20), b)
            mstore(add(words, 0x40), c)
            mstore(add(words, 0x60), d)
            mstore(add(words, 0x80), e)
            hash := keccak256(words, 0xa0)
        }
    }

    function hash6(bytes32 a, uint256 b, uint256 c, bytes32 d, uint256 e, bytes32 f)
        internal
        pure
        returns (bytes32 hash)
    {
        assembly ("memory-safe") {
            let words := mload(0x40)
            mstore(words, a)
            mstore(add(words, 0x20), b)
            mstore(add(words, 0x40), c)
            mstore(add(words, 0x60), d)
            mstore(add(words, 0x80), e)
            mstore(add(words, 0xa0), f)
            hash := keccak256(words, 0xc0)
        }
    }

    function hash8(bytes32 a, uint256 b, uint256 c, bytes32 d, uint256 e, bytes32 f, bytes32 g, bytes32 h)
        internal
        pure
        returns (bytes32 hash)
    {
        assembly ("memory-safe") {
            let words := mload(0x40)
            mstore(words, a)
            mstore(add(words, 0x20), b)
            mstore(add(words, 0x40), c)
            mstore(add(words, 0x60), d)
            mstore(add(words, 0x80), e)
            mstore(add(words, 0xa0), f)
            mstore(add(words, 0xc0), g)
            mstore(add(words, 0xe0), h)
            hash := keccak256(words, 0x100)
        }
    }
}
