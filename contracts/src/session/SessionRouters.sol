// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {RoleIds} from "../common/Roles.sol";
import {SessionNodes} from "./SessionNodes.sol";

/// @title The routers that may submit tasks to a session.
/// @notice The session's owner maintains the list. A router on the list submits tasks at the session's expense, with
///         numbers from its own lane.
abstract contract SessionRouters is SessionNodes {
    /// @notice The router on the list of every new session; the zero address if there is none.
    address public defaultRouter;
    string public defaultRouterMetadata;

    event RouterAdded(address routerAddress, string routerInfo);
    event RouterUpdated(address routerAddress, string routerInfo);
    event RouterRemoved(address routerAddress);
    event AllRoutersRemoved(uint256 indexed sessionId);
    /// @dev The current entry of a router on a session's list. The published events do not contain the session.
    event SessionRouterSet(
        uint256 indexed sessionId, address indexed router, uint256 index, string metadata, bool active
    );
    event DefaultRouterSet(address indexed router, string metadata);

    error RouterListed(uint256 sessionId, address router);
    error ZeroAddress();

    /// @notice Sets the router that is on the list of new sessions.
    function setDefaultRouter(address router, string calldata metadata) external onlyRole(RoleIds.ADMIN) {
        defaultRouter = router;
        defaultRouterMetadata = metadata;
        emit DefaultRouterSet(router, metadata);
    }

    /// @notice Allows a router to submit tasks at the session's expense.
    function addRouter(uint256 sessionId, address routerAddress, string calldata metadata)
        external
        onlyOwner(sessionId)
    {
        if (_isRouter(sessionId, routerAddress)) revert RouterListed(sessionId, routerAddress);
        _addRouter(sessionId, routerAddress, metadata);
    }

    function updateRouter(uint256 sessionId, address routerAddress, string calldata newRouterInfo)
        external
        onlyOwner(sessionId)
    {
        (RouterEntry storage entry, uint256 index) = _router(sessionId, routerAddress);
        entry.metadata = newRouterInfo;
        emit RouterUpdated(routerAddress, newRouterInfo);
        emit SessionRouterSet(sessionId, routerAddress, index, newRouterInfo, true);
    }

    /// @notice Removes a router from the list. Its lane is never given to another router.
    function removeRouter(uint256 sessionId, address routerAddress) external onlyOwner(sessionId) {
        (RouterEntry storage entry, uint256 index) = _router(sessionId, routerAddress);
        _removeRouter(sessionId, entry, index);
    }

    function resetAllRouters(uint256 sessionId) external onlyOwner(sessionId) {
        RouterEntry[] storage list = _routers[sessionId];
        for (uint256 i; i < list.length; ++i) {
            if (list[i].active) _removeRouter(sessionId, list[i], i);
        }
        emit AllRoutersRemoved(sessionId);
    }

    // ---------------------------------------------------------------- inside

    function _addDefaultRouter(uint256 sessionId) internal {
        if (defaultRouter != address(0)) _addRouter(sessionId, defaultRouter, defaultRouterMetadata);
    }

    function _addRouter(uint256 sessionId, address router, string memory metadata) private {
        if (router == address(0)) revert ZeroAddress();
        uint256 index = _listRouter(sessionId, router, metadata);
        emit RouterAdded(router, metadata);
        emit SessionRouterSet(sessionId, router, index, metadata, true);
    }

    function _removeRouter(uint256 sessionId, RouterEntry storage entry, uint256 index) private {
        entry.active = false;
        emit RouterRemoved(entry.router);
        emit SessionRouterSet(sessionId, entry.router, index, entry.metadata, false);
    }
}
