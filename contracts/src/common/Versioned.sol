// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {RoleGuarded} from "./Roles.sol";

/// @title What clients of the published interface ask any of the network's contracts.
abstract contract Versioned is RoleGuarded {
    /// @notice The generation of the published interface that is kept here.
    uint8 public constant version = 2;
    uint8 public constant subversion = 0;

    /// @notice The network's administrator.
    function owner() external view returns (address) {
        return roles.owner();
    }
}
