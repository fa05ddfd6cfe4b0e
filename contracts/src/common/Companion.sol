// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title A contract with a second half: what it has no function for is there, and runs on its storage.
/// @dev OpenZeppelin's Proxy does the same, but by assembly that the compiler may not take for memory-safe, and then it
///      does without its optimiser of the stack in all of the contract. This one takes no coins, either.
abstract contract Companion {
    fallback() external {
        address target = _companion();
        assembly ("memory-safe") {
            let data := mload(0x40)
            calldatacopy(data, 0, calldatasize())
            let done := delegatecall(gas(), target, data, calldatasize(), 0, 0)
            returndatacopy(data, 0, returndatasize())
            if iszero(done) { revert(data, returndatasize()) }
            return(data, returndatasize())
        }
    }

    /// @dev Where the other half is: an immutable address.
    function _companion() internal view virtual returns (address);
}
