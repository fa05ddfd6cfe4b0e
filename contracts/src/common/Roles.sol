// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {
    AccessControlDefaultAdminRules
} from "@openzeppelin/contracts/access/extensions/AccessControlDefaultAdminRules.sol";
import {TransientSlot} from "@openzeppelin/contracts/utils/TransientSlot.sol";

/// @title The identifiers of the roles.
library RoleIds {
    /// @dev OpenZeppelin's DEFAULT_ADMIN_ROLE: wires the contracts, sets prices, grants the roles below.
    bytes32 internal constant ADMIN = 0x00;
    /// @dev Assigns miners to queued tasks. (To submit tasks, a router has to be on the session's router list.)
    bytes32 internal constant ROUTER = keccak256("ROUTER_ROLE");
    /// @dev Sets nodes' states, assigns miners to tasks, and replaces late miners.
    bytes32 internal constant ORACLE = keccak256("ORACLE_ROLE");
    /// @dev Judges revealed results, and thereby decides which miners are paid.
    bytes32 internal constant VALIDATOR = keccak256("VALIDATOR_ROLE");
    /// @dev Held by the project's contracts that call others: Session, SessionQueue and Cognitive.
    bytes32 internal constant MODULE = keccak256("MODULE_ROLE");
}

/// @title The role holders of all contracts.
contract Roles is AccessControlDefaultAdminRules {
    bytes32 public constant ROUTER_ROLE = RoleIds.ROUTER;
    bytes32 public constant ORACLE_ROLE = RoleIds.ORACLE;
    bytes32 public constant VALIDATOR_ROLE = RoleIds.VALIDATOR;
    bytes32 public constant MODULE_ROLE = RoleIds.MODULE;

    /// @param admin the first administrator
    /// @param adminDelay the delay in seconds before the admin role can be transferred
    constructor(address admin, uint48 adminDelay) AccessControlDefaultAdminRules(adminDelay, admin) {}
}

/// @title A contract that restricts functions to role holders in `Roles`.
abstract contract RoleGuarded {
    using TransientSlot for *;

    Roles public immutable roles;

    error MissingRole(address account, bytes32 role);

    modifier onlyRole(bytes32 role) {
        _requireRole(role);
        _;
    }

    /// @dev Requires MODULE_ROLE. The contracts of the project call each other many times in a batch, so the role is
    ///      looked up once per transaction and account. An account that loses the role during a transaction keeps it
    ///      until the transaction ends.
    modifier onlyModule() {
        _requireModule();
        _;
    }

    constructor(Roles roles_) {
        roles = roles_;
    }

    function _requireModule() private {
        // These contracts use transient storage for nothing else, so the account's address can serve as the slot.
        TransientSlot.BooleanSlot known = bytes32(uint256(uint160(msg.sender))).asBoolean();
        if (known.tload()) return;
        _requireRole(RoleIds.MODULE);
        known.tstore(true);
    }

    function _requireRole(bytes32 role) internal view {
        if (!roles.hasRole(role, msg.sender)) revert MissingRole(msg.sender, role);
    }
}
