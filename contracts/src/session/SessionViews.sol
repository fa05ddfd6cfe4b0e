// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {NodeIds} from "../node/NodeIds.sol";
import {OverdueTasks} from "../task/OverdueTasks.sol";
import {RoleGuarded, RoleIds, Roles} from "../common/Roles.sol";
import {SessionLedger} from "./SessionLedger.sol";
import {SessionQueue} from "../task/SessionQueue.sol";
import {Versioned} from "../common/Versioned.sol";

/// @dev The published view of a session.
struct SessionView {
    uint256 id;
    bytes32 sid;
    string name;
    string metadata;
    uint8 state;
    uint256 createdAt;
    uint256 updatedAt;
    address owner;
    address[] ephemeralNodes;
    address[] dedicatedNodes;
    uint256 mode;
    uint256 redundant;
    uint256 minNumOfNodes;
    uint256 maxNumOfNodes;
    uint256 numOfValidatorNodes;
    string[] routerMetadatas;
    address[] routerAddresses;
    uint256 sla;
    uint256 modelIdentifier;
    uint256 reservePeriod;
    uint256 maxTaskExecutionCount;
}

/// @title The published views of sessions.
/// @notice Clients call Session, which delegates calls of these functions to this contract. This contract has no state
///         of its own.
/// @dev SessionLedger is the first base of both contracts, so they have the same storage layout.
contract SessionViews is SessionLedger, Versioned {
    SessionQueue private immutable _queue;

    constructor(Roles roles_, SessionQueue queue_) RoleGuarded(roles_) {
        _queue = queue_;
    }

    // ---------------------------------------------------------------- sessions

    function getSessionCount() external view returns (uint256) {
        return _count;
    }

    function getSession(uint256 sessionId) public view returns (SessionView memory seen) {
        Record storage record = _session(sessionId);
        seen.id = sessionId;
        seen.sid = record.sid;
        seen.name = record.name;
        seen.metadata = record.metadata;
        seen.state = record.state;
        seen.createdAt = record.createdAt;
        seen.updatedAt = record.updatedAt;
        seen.owner = record.owner;
        seen.ephemeralNodes = getEphemeralNodes(sessionId);
        seen.dedicatedNodes = _dedicatedNodes[sessionId];
        seen.mode = record.mode;
        seen.redundant = record.redundant;
        seen.minNumOfNodes = record.minNumOfNodes;
        seen.maxNumOfNodes = record.maxNumOfNodes;
        seen.numOfValidatorNodes = record.numOfValidatorNodes;
        (seen.routerAddresses, seen.routerMetadatas) = _activeRouters(sessionId);
        seen.sla = record.sla;
        seen.modelIdentifier = record.modelIdentifier;
        seen.reservePeriod = record.reservePeriod;
        seen.maxTaskExecutionCount = record.maxTaskExecutionCount;
    }

    function getMode(uint256 sessionId) external view returns (uint256) {
        return _session(sessionId).mode;
    }

    function getSessionCountByAddress(address userAddr) external view returns (uint256) {
        return _sessionIdsOf[userAddr].length;
    }

    function getSessionIds(address userAddr) external view returns (uint256[] memory) {
        return _sessionIdsOf[userAddr];
    }

    function getSessionsIdsByAddress(address userAddr) external view returns (uint256[] memory) {
        return _sessionIdsOf[userAddr];
    }

    function getUserSessions(address user) external view returns (uint256[] memory) {
        return _sessionIdsOf[user];
    }

    /// @notice The account's session at an index of its list.
    function userSessions(address user, uint256 index) external view returns (uint256) {
        return _sessionIdsOf[user][index];
    }

    /// @notice The latest session that the account owns; 0 if it owns none.
    function getLatestSessionId(address userAddr) external view returns (uint256) {
        uint256[] storage ids = _sessionIdsOf[userAddr];
        return ids.length == 0 ? 0 : ids[ids.length - 1];
    }

    function getActiveSessionsByAddress(address userAddr) external view returns (SessionView[] memory active) {
        uint256[] storage ids = _sessionIdsOf[userAddr];
        active = new SessionView[](ids.length);
        uint256 kept;
        for (uint256 i; i < ids.length; ++i) {
            if (_sessions[ids[i]].state == STATE_ACTIVE) active[kept++] = getSession(ids[i]);
        }
        assembly ("memory-safe") {
            mstore(active, kept)
        }
    }

    /// @notice The account's sessions. Use getSessionsByAddressByPage for accounts with many.
    function getSessionsByAddress(address userAddr) external view returns (SessionView[] memory) {
        return _page(_sessionIdsOf[userAddr], 0, type(uint256).max);
    }

    /// @notice A page of the account's sessions. The last page may be shorter, and pages after it are empty.
    function getSessionsByAddressByPage(address userAddr, uint256 offset, uint256 amount)
        external
        view
        returns (SessionView[] memory)
    {
        return _page(_sessionIdsOf[userAddr], offset, amount);
    }

    /// @return ids the account's sessions
    /// @return names the sessions' names
    /// @return metadatas the sessions' metadata
    /// @return modes the sessions' modes
    function getSessionIdAndNameAndMetadataByAddress(address userAddr)
        external
        view
        returns (uint256[] memory ids, string[] memory names, string[] memory metadatas, uint256[] memory modes)
    {
        ids = _sessionIdsOf[userAddr];
        names = new string[](ids.length);
        metadatas = new string[](ids.length);
        modes = new uint256[](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            Record storage record = _sessions[ids[i]];
            (names[i], metadatas[i], modes[i]) = (record.name, record.metadata, record.mode);
        }
    }

    // ---------------------------------------------------------------- routers

    /// @notice The number of routers that were ever on the list, including removed ones: one more than the last index.
    function getRouterCount(uint256 sessionId) external view returns (uint256) {
        return _routers[sessionId].length;
    }

    /// @notice The router at an index; the zero address if it was removed or never existed.
    function getRouterAddress(uint256 sessionId, uint256 index) external view returns (address) {
        RouterEntry[] storage list = _routers[sessionId];
        return index < list.length && list[index].active ? list[index].router : address(0);
    }

    /// @notice The router's index, which determines its lane; -1 if it is not on the list.
    function getRouterIndex(uint256 sessionId, address routerAddress) external view returns (int256) {
        if (!_isRouter(sessionId, routerAddress)) return -1;
        // The cast is safe: no list can be that long.
        return int256(_routerIndexPlusOne[sessionId][routerAddress]) - 1;
    }

    /// @notice The router's index. Reverts if it is not on the list.
    function getRouterAddressToIndex(uint256 sessionId, address routerAddress) external view returns (uint256 index) {
        (, index) = _router(sessionId, routerAddress);
    }

    function getRouterInfo(uint256 sessionId, address routerAddress) external view returns (string memory) {
        (RouterEntry storage entry,) = _router(sessionId, routerAddress);
        return entry.metadata;
    }

    /// @notice Whether a router on the list has this metadata.
    function getRouterInfoExists(uint256 sessionId, string calldata routerInfo) external view returns (bool) {
        RouterEntry[] storage list = _routers[sessionId];
        bytes32 wanted = keccak256(bytes(routerInfo));
        for (uint256 i; i < list.length; ++i) {
            if (list[i].active && keccak256(bytes(list[i].metadata)) == wanted) return true;
        }
        return false;
    }

    /// @notice The last router on the list; the zero address if there is none.
    function getLatestRouterAddress(uint256 sessionId) external view returns (address) {
        (bool found, uint256 index) = _latestRouter(sessionId);
        return found ? _routers[sessionId][index].router : address(0);
    }

    /// @notice The last router's index. Reverts if there is none.
    function getLatestRouterIndex(uint256 sessionId) external view returns (uint256) {
        (bool found, uint256 index) = _latestRouter(sessionId);
        if (!found) revert NotRouter(sessionId, address(0));
        return index;
    }

    /// @notice The last router's metadata; empty if there is none.
    function getLatestRouterInfo(uint256 sessionId) public view returns (string memory) {
        (bool found, uint256 index) = _latestRouter(sessionId);
        return found ? _routers[sessionId][index].metadata : "";
    }

    /// @notice The metadata of the last router of each of the account's sessions.
    function getRouterMetadatasByAddress(address userAddr) external view returns (string[] memory) {
        return getRouterMetadatasBySessionIds(_sessionIdsOf[userAddr]);
    }

    function getRouterMetadatasBySessionIds(uint256[] memory sessionIds)
        public
        view
        returns (string[] memory metadatas)
    {
        metadatas = new string[](sessionIds.length);
        for (uint256 i; i < sessionIds.length; ++i) {
            metadatas[i] = getLatestRouterInfo(sessionIds[i]);
        }
    }

    // ---------------------------------------------------------------- nodes

    /// @notice The shared nodes that work on the session's latest tasks now (see TaskViews.getMinersAtWork). Nodes on
    ///         the session's own list are not included.
    function getEphemeralNodes(uint256 sessionId) public view returns (address[] memory nodes) {
        nodes = OverdueTasks(address(_queue)).getMinersAtWork(sessionId);
        uint256 kept;
        for (uint256 i; i < nodes.length; ++i) {
            if (_hires[NodeIds.idOf(nodes[i])].sessionId != sessionId) nodes[kept++] = nodes[i];
        }
        assembly ("memory-safe") {
            mstore(nodes, kept)
        }
    }

    /// @notice The nodes on the session's own list.
    function getDedicatedNodes(uint256 sessionId) external view returns (address[] memory) {
        return _dedicatedNodes[sessionId];
    }

    function getDedicatedNodeCount(uint256 sessionId) external view returns (uint256) {
        return _dedicatedNodes[sessionId].length;
    }

    function getDedicatedNodeExists(uint256 sessionId, address nodeAddress) external view returns (bool) {
        return sessionId != 0 && getNodeSessionId(nodeAddress) == sessionId;
    }

    /// @notice The session whose list the node is on; 0 if it is on none.
    function getNodeSessionId(address nodeAddress) public view returns (uint256) {
        return _hires[NodeIds.idOf(nodeAddress)].sessionId;
    }

    /// @notice Another name of getNodeSessionId. The published interface has both.
    function nodeToSessionId(address nodeAddress) external view returns (uint256) {
        return getNodeSessionId(nodeAddress);
    }

    function isNodeAssignedToAnySession(address nodeAddress) external view returns (bool) {
        return getNodeSessionId(nodeAddress) != 0;
    }

    /// @notice Whether the node is on a session's list. The published interface has two functions for it.
    function isNodeInSessions(address nodeAddress) external view returns (bool) {
        return getNodeSessionId(nodeAddress) != 0;
    }

    /// @notice The time when the node was added to its list, in seconds since 1970; 0 if it is on none.
    function getNodeAssignedTimestamp(address nodeAddress) external view returns (uint256) {
        return _hires[NodeIds.idOf(nodeAddress)].assignedAt;
    }

    /// @notice The node with this id while it is on a session's list; the zero address otherwise.
    function nodeIdToAddress(bytes32 nodeId) external view returns (address) {
        return _hires[nodeId].node;
    }

    function getNodeId(address addr) external pure returns (bytes32) {
        return NodeIds.idOf(addr);
    }

    // ---------------------------------------------------------------- tasks and the network

    function getTaskResults(uint256 sessionId, uint256 taskId)
        external
        view
        returns (address[] memory, string[] memory)
    {
        return OverdueTasks(address(_queue)).getTaskResults(sessionId, taskId);
    }

    function isOracleNode(address addr) external view returns (bool) {
        return roles.hasRole(RoleIds.ORACLE, addr);
    }

    function getSessionQueueAddress() external view returns (address) {
        return address(_queue);
    }

    function getSessionPaymentAddress() external view returns (address) {
        return address(_queue.payment());
    }

    function getNodePoolAddress() external view returns (address) {
        return address(_queue.pool());
    }

    // ---------------------------------------------------------------- inside

    function _page(uint256[] storage ids, uint256 offset, uint256 amount)
        private
        view
        returns (SessionView[] memory page)
    {
        if (offset >= ids.length) return page;
        uint256 size = amount < ids.length - offset ? amount : ids.length - offset;
        page = new SessionView[](size);
        for (uint256 i; i < size; ++i) {
            page[i] = getSession(ids[offset + i]);
        }
    }

    function _latestRouter(uint256 sessionId) private view returns (bool, uint256) {
        RouterEntry[] storage list = _routers[sessionId];
        for (uint256 i = list.length; i > 0; --i) {
            if (list[i - 1].active) return (true, i - 1);
        }
        return (false, 0);
    }

    function _activeRouters(uint256 sessionId)
        private
        view
        returns (address[] memory addresses, string[] memory metadatas)
    {
        RouterEntry[] storage list = _routers[sessionId];
        addresses = new address[](list.length);
        metadatas = new string[](list.length);
        uint256 kept;
        for (uint256 i; i < list.length; ++i) {
            if (!list[i].active) continue;
            (addresses[kept], metadatas[kept]) = (list[i].router, list[i].metadata);
            ++kept;
        }
        assembly ("memory-safe") {
            mstore(addresses, kept)
            mstore(metadatas, kept)
        }
    }
}
