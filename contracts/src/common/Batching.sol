// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title Batches of steps, in which an invalid element is skipped and does not affect the others.
/// @dev A step makes all its checks before it changes anything. It returns its refusal: the encoded error, or empty
///      bytes if it was done. A batch emits refusals as events and continues; a direct call reverts with them.
///      Elements are not separate calls, so a sender cannot starve one of gas: too little gas reverts the batch.
abstract contract Batching {
    /// @param kind the kind of the batch's elements, as ASCII: "submit", "assign", "ack", …
    /// @param index the element's index in the batch
    /// @param reason the element's refusal: a custom error of this project
    event RelaySkipped(bytes32 indexed kind, uint256 index, bytes reason);

    /// @dev The start of the free memory, which an element may use. The batch resets it with `_free` after each
    ///      element: memory becomes more expensive the more is used, and no element needs another one's memory.
    function _memory() internal pure returns (uint256 begin) {
        assembly ("memory-safe") {
            begin := mload(0x40)
        }
    }

    function _free(uint256 begin) internal pure {
        assembly ("memory-safe") {
            mstore(0x40, begin)
        }
    }

    function _report(bytes32 kind, uint256 index, bytes memory refusal) internal {
        if (refusal.length != 0) emit RelaySkipped(kind, index, refusal);
    }

    function _orRevert(bytes memory refusal) internal pure {
        if (refusal.length == 0) return;
        assembly ("memory-safe") {
            revert(add(refusal, 0x20), mload(refusal))
        }
    }
}
