// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title Batches of calls: a bad element is skipped and never sinks the others (see Batching for those of steps).
/// @dev Each element is a call of this contract to itself, so that a revert undoes that element alone.
abstract contract CallBatching {
    /// @param kind what the batch carries, as ASCII: "submit", "assign", "ack", …
    /// @param index the element's place in the batch
    /// @param reason the element's revert data: a custom error of this project
    event RelaySkipped(bytes32 indexed kind, uint256 index, bytes reason);

    /// @dev Every refusal of ours carries data; none means that the element ran out of gas. The whole batch
    ///      reverts then, or its sender could make a good element fail by giving too little gas.
    error ElementOutOfGas(uint256 index);
    error LengthsDiffer(uint256 elements, uint256 signatures);

    function _attempt(bytes32 kind, uint256 index, bytes memory call) internal {
        (bool done, bytes memory reason) = address(this).call(call);
        if (done) return;
        if (reason.length == 0) revert ElementOutOfGas(index);
        emit RelaySkipped(kind, index, reason);
    }
}
