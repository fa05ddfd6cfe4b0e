// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title The functions of Session that other contracts call.
interface ISession {
    function doesSessionExist(uint256 sessionId) external view returns (bool);

    /// @dev Reverts when there is no such session.
    function ownerOf(uint256 sessionId) external view returns (address);

    /// @dev Reverts when there is no such session.
    function modelOf(uint256 sessionId) external view returns (uint256 modelIdentifier);

    /// @notice Submits a task on behalf of a module, with the same effect as `submit` by the session's owner.
    /// @return taskId the session's next running number
    function submitByModule(
        uint256 sessionId,
        string calldata taskData,
        uint256 promptType,
        string calldata promptTemplate,
        uint256[] calldata llmParams,
        uint256[] calldata requestParams
    ) external returns (uint256 taskId);

    /// @notice Emits TaskAssigned for the miners that the queue assigns to a task, unless one of them may not work for
    ///         the session.
    /// @return accepted the number of leading nodes that may work for the session; all of them if the event was emitted
    function admitAssignment(uint256 sessionId, uint256 taskId, bytes32[] calldata nodeIds)
        external
        returns (uint256 accepted);

    /// @notice Whether the session's mode allows the node to work for it.
    function mayWorkFor(uint256 sessionId, address node) external view returns (bool);

    /// @notice The `attempt`-th node that a seed draws from the nodes that the session's mode allows. The node may be
    ///         ineligible. The zero address if there are no nodes.
    function drawn(uint256 sessionId, bytes32 seed, uint256 attempt) external view returns (address);
}
