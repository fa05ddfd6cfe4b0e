// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title What the other contracts ask of Session.
interface ISession {
    function doesSessionExist(uint256 sessionId) external view returns (bool);

    /// @dev Reverts when there is no such session.
    function ownerOf(uint256 sessionId) external view returns (address);

    /// @dev Reverts when there is no such session.
    function modelOf(uint256 sessionId) external view returns (uint256 modelIdentifier);
}
