// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title Batches in which a bad element is skipped and never sinks the others.
/// @dev A step looks at everything before it changes anything, and answers with its refusal: the encoded error,
///      or nothing when it has been done. A batch reports refusals and goes on; a direct call reverts with
///      them. No element is a call of its own, so none can be starved of gas: too little sinks the batch.
abstract contract Batching {
    /// @param kind what the batch carries, as ASCII: "submit", "assign", "ack", …
    /// @param index the element's place in the batch
    /// @param reason the element's refusal: a custom error of this project
    event RelaySkipped(bytes32 indexed kind, uint256 index, bytes reason);

    /// @dev Where an element's memory begins. A batch gives it back with `_free`, since memory costs the more the
    ///      more of it there is: nothing of one element is of use to the next.
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
