// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title The network's money, $COR. The whole supply is minted once; nobody can mint more.
contract CortensorToken is ERC20Permit {
    /// @param treasury receives the whole supply
    /// @param supply in wei
    constructor(address treasury, uint256 supply) ERC20("Cortensor", "COR") ERC20Permit("Cortensor") {
        _mint(treasury, supply);
    }
}
