// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title What the other contracts ask of Session.
interface ISession {
    function doesSessionExist(uint256 sessionId) external view returns (bool);

    /// @dev Reverts when there is no such session.
    function ownerOf(uint256 sessionId) external view returns (address);

    /// @dev Reverts when there is no such session.
    function modelOf(uint256 sessionId) external view returns (uint256 modelIdentifier);

    /// @notice Submits a task for a module, as the session's owner would by `submit`.
    /// @return taskId the session's next running number
    function submitByModule(
        uint256 sessionId,
        string calldata taskData,
        uint256 promptType,
        string calldata promptTemplate,
        uint256[] calldata llmParams,
        uint256[] calldata requestParams
    ) external returns (uint256 taskId);

    /// @notice Announces whom the queue puts on a task (Session's TaskAssigned), unless one of them may not work
    ///         for the session.
    /// @return accepted how many may, from the first on: all of them when it is announced
    function admitAssignment(uint256 sessionId, uint256 taskId, bytes32[] calldata nodeIds)
        external
        returns (uint256 accepted);

    /// @notice Whether the session's mode lets the node work for it.
    function mayWorkFor(uint256 sessionId, address node) external view returns (bool);

    /// @notice The `attempt`-th node that a seed draws of those that the session's mode lets work for it, eligible
    ///         or not; the zero address when there is none.
    function drawn(uint256 sessionId, bytes32 seed, uint256 attempt) external view returns (address);
}
