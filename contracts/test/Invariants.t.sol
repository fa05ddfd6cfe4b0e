// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Actors} from "./Actors.sol";

/// @dev What holds whatever the actors do. The tasks' own invariants are looked at after every step, inside.
contract InvariantsTest {
    Actors private actors;

    function setUp() public {
        actors = new Actors();
    }

    /// @dev Forge's name for the functions that it may call: all but the checks.
    function excludeSelectors() external view returns (FuzzSelector[] memory excluded) {
        bytes4[] memory selectors = new bytes4[](2);
        (selectors[0], selectors[1]) = (Actors.checkMoney.selector, Actors.leave.selector);
        excluded = new FuzzSelector[](1);
        excluded[0] = FuzzSelector(address(actors), selectors);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actors);
    }

    function invariant_every_wei_is_in_exactly_one_place() public view {
        actors.checkMoney();
    }

    /// @dev Forge calls it at the end of each run.
    function afterInvariant() public {
        actors.leave();
    }
}

struct FuzzSelector {
    address addr;
    bytes4[] selectors;
}
