// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

struct Log {
    bytes32[] topics;
    bytes data;
    address emitter;
}

/// @dev The few of forge's cheat codes that these tests use.
interface Vm {
    function addr(uint256 privateKey) external pure returns (address);
    function sign(uint256 privateKey, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function prank(address sender) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function load(address account, bytes32 slot) external view returns (bytes32);
    function store(address account, bytes32 slot, bytes32 value) external;
    function warp(uint256 timestamp) external;
    function chainId(uint256 id) external;
    function prevrandao(bytes32 value) external;
    function expectRevert(bytes calldata reason) external;
    function expectRevert(bytes4 selector) external;
    function expectPartialRevert(bytes4 selector) external;
    function deployCode(string calldata artifact, bytes calldata parameters) external returns (address);
    function envOr(string calldata name, bool otherwise) external view returns (bool);
    function recordLogs() external;
    function getRecordedLogs() external returns (Log[] memory);
    function snapshotGasLastCall(string calldata group, string calldata name) external returns (uint256);
    function snapshotValue(string calldata group, string calldata name, uint256 value) external;
}

/// @dev A test that fails says what it saw.
abstract contract Checks {
    Vm internal constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

    error NotEqual(string what, bytes32 seen, bytes32 expected);
    error Untrue(string what);

    /// @dev Deploys a contract as it is checked in: the tests run what is deployed, and need not compile it.
    function deploy(string memory name, bytes memory parameters) internal returns (address) {
        // To count what of the sources is reached, forge needs them compiled with its own counters.
        bool compiled = vm.envOr("TEST_SOURCES", false);
        string memory checkedIn = string.concat("contracts/abi/", name, ".json");
        return vm.deployCode(compiled ? string.concat(name, ".sol:", name) : checkedIn, parameters);
    }

    function assertEq(uint256 seen, uint256 expected, string memory what) internal pure {
        if (seen != expected) revert NotEqual(what, bytes32(seen), bytes32(expected));
    }

    function assertEq(int256 seen, int256 expected, string memory what) internal pure {
        if (seen != expected) revert NotEqual(what, bytes32(uint256(seen)), bytes32(uint256(expected)));
    }

    function assertEq(bytes32 seen, bytes32 expected, string memory what) internal pure {
        if (seen != expected) revert NotEqual(what, seen, expected);
    }

    function assertEq(address seen, address expected, string memory what) internal pure {
        assertEq(bytes32(uint256(uint160(seen))), bytes32(uint256(uint160(expected))), what);
    }

    function assertEq(string memory seen, string memory expected, string memory what) internal pure {
        assertEq(keccak256(bytes(seen)), keccak256(bytes(expected)), what);
    }

    function assertTrue(bool condition, string memory what) internal pure {
        if (!condition) revert Untrue(what);
    }

    function bound(uint256 value, uint256 least, uint256 most) internal pure returns (uint256) {
        return least + value % (most - least + 1);
    }
}
