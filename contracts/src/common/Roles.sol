// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {
    AccessControlDefaultAdminRules
} from "@openzeppelin/contracts/access/extensions/AccessControlDefaultAdminRules.sol";
import {TransientSlot} from "@openzeppelin/contracts/utils/TransientSlot.sol";

/// @title The names of the roles, for the contracts that ask for them.
library RoleIds {
    /// @dev OpenZeppelin's DEFAULT_ADMIN_ROLE: wires the contracts, sets prices, grants the roles below.
    bytes32 internal constant ADMIN = 0x00;
    /// @dev Puts miners on queued tasks. (Submitting needs a place on the session's router list instead.)
    bytes32 internal constant ROUTER = keccak256("ROUTER_ROLE");
    /// @dev Sets nodes' states, puts miners on tasks, replaces late ones.
    bytes32 internal constant ORACLE = keccak256("ORACLE_ROLE");
    /// @dev Judges revealed results, and so decides who is paid.
    bytes32 internal constant VALIDATOR = keccak256("VALIDATOR_ROLE");
    /// @dev The project's contracts among themselves: Session and SessionQueue.
    bytes32 internal constant MODULE = keccak256("MODULE_ROLE");
}

/// @title Who may do what: one list for all contracts.
contract Roles is AccessControlDefaultAdminRules {
    bytes32 public constant ROUTER_ROLE = RoleIds.ROUTER;
    bytes32 public constant ORACLE_ROLE = RoleIds.ORACLE;
    bytes32 public constant VALIDATOR_ROLE = RoleIds.VALIDATOR;
    bytes32 public constant MODULE_ROLE = RoleIds.MODULE;

    /// @param admin the first administrator
    /// @param adminDelay seconds that must pass before the administration can change hands
    constructor(address admin, uint48 adminDelay) AccessControlDefaultAdminRules(adminDelay, admin) {}
}

/// @title A contract whose doors ask `Roles`.
abstract contract RoleGuarded {
    using TransientSlot for *;

    Roles public immutable roles;

    error MissingRole(address account, bytes32 role);

    modifier onlyRole(bytes32 role) {
        _requireRole(role);
        _;
    }

    /// @dev For the project's contracts, which ask each other many times in a batch: MODULE_ROLE, looked up once in
    ///      a transaction. Who loses the role has it to the end of that transaction.
    modifier onlyModule() {
        _requireModule();
        _;
    }

    constructor(Roles roles_) {
        roles = roles_;
    }

    function _requireModule() private {
        // Nothing else is kept in these contracts' transient storage, so the account's own slot is free.
        TransientSlot.BooleanSlot known = bytes32(uint256(uint160(msg.sender))).asBoolean();
        if (known.tload()) return;
        _requireRole(RoleIds.MODULE);
        known.tstore(true);
    }

    function _requireRole(bytes32 role) internal view {
        if (!roles.hasRole(role, msg.sender)) revert MissingRole(msg.sender, role);
    }
}
