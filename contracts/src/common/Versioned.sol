// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {RoleGuarded} from "./Roles.sol";

/// @title Functions of the published interface that all contracts of the network have.
abstract contract Versioned is RoleGuarded {
    /// @notice The version of the published interface that this contract implements.
    uint8 public constant version = 2;
    uint8 public constant subversion = 0;

    /// @notice The network's administrator.
    function owner() external view returns (address) {
        return roles.owner();
    }
}
