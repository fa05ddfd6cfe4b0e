// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title Batches of calls, in which an invalid element is skipped and does not affect the others.
/// @dev Each element is a call of this contract to itself, so a revert undoes only that element. `Batching` does the
///      same for steps that are not calls.
abstract contract CallBatching {
    /// @param kind the kind of the batch's elements, as ASCII: "submit", "assign", "ack", …
    /// @param index the element's index in the batch
    /// @param reason the element's revert data: a custom error of this project
    event RelaySkipped(bytes32 indexed kind, uint256 index, bytes reason);

    /// @dev All reverts of this project contain data, so a revert without data means that the element ran out of
    ///      gas. The whole batch then reverts. Otherwise, the sender could make a valid element fail with too
    ///      little gas.
    error ElementOutOfGas(uint256 index);
    error LengthsDiffer(uint256 elements, uint256 signatures);

    function _attempt(bytes32 kind, uint256 index, bytes memory call) internal {
        (bool done, bytes memory reason) = address(this).call(call);
        if (done) return;
        if (reason.length == 0) revert ElementOutOfGas(index);
        emit RelaySkipped(kind, index, reason);
    }
}
