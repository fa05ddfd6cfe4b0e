// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title The node ids of the published interface: the hashes of the nodes' addresses.
library NodeIds {
    /// @notice `keccak256(abi.encodePacked(node))`
    function idOf(address node) internal pure returns (bytes32 id) {
        assembly ("memory-safe") {
            mstore(0, shl(96, node))
            id := keccak256(0, 20)
        }
    }

    function listOf(address[] calldata nodes) internal pure returns (bytes32[] memory ids) {
        ids = new bytes32[](nodes.length);
        for (uint256 i; i < nodes.length; ++i) {
            ids[i] = idOf(nodes[i]);
        }
    }
}
