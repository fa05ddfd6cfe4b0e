// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title A contract that forwards unknown functions to a second contract, which runs on its storage.
/// @dev OpenZeppelin's Proxy does the same, but its assembly is not memory-safe, so the compiler would disable its
///      stack optimizer for the whole contract. In addition, this fallback accepts no coins.
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

    /// @dev The address of the second contract. It must be immutable.
    function _companion() internal view virtual returns (address);
}
