// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ISession} from "./ISession.sol";
import {NodeIds} from "./NodeIds.sol";

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

/// @title How sessions and their routers are kept, and the published views of them.
abstract contract SessionLedger is ISession {
    /// @dev Word 0 (248 bits) and word 1 (248 bits) hold what a submission reads and counts.
    ///      `tasks` counts all submissions, `directTasks` the owner's own, which are numbered by it; for `changes`
    ///      see _changed.
    struct Record {
        address owner;
        uint8 state;
        uint8 mode;
        uint8 redundant;
        uint32 tasks;
        uint32 directTasks;
        uint32 maxTaskExecutionCount;
        uint32 minNumOfNodes;
        uint32 maxNumOfNodes;
        uint16 numOfValidatorNodes;
        bool reserveEphemeralNodes;
        uint40 createdAt;
        uint40 updatedAt;
        uint8 changes;
        bytes32 sid;
        uint256 modelIdentifier;
        uint256 sla;
        uint256 reservePeriod;
        string name;
        string metadata;
    }

    /// @dev Never deleted: the index is the router's lane.
    struct RouterEntry {
        address router;
        bool active;
        string metadata;
    }

    /// @notice Router i of a session numbers its tasks from (i + 1) × LANE_SIZE, the owner its own from 0.
    uint256 public constant LANE_SIZE = 1_000_000;
    uint8 internal constant STATE_ACTIVE = 0;
    uint8 internal constant STATE_INACTIVE = 1;

    mapping(uint256 sessionId => RouterEntry[]) internal _routers;
    mapping(uint256 sessionId => address[]) internal _dedicatedNodes;
    mapping(uint256 sessionId => mapping(address router => uint256)) private _routerIndexPlusOne;
    uint256 private _count;
    mapping(uint256 sessionId => Record) private _sessions;
    mapping(address owner => uint256[]) private _sessionIdsOf;

    error SessionNotFound(uint256 sessionId);
    error NotRouter(uint256 sessionId, address account);

    // ---------------------------------------------------------------- sessions

    /// @inheritdoc ISession
    function doesSessionExist(uint256 sessionId) public view returns (bool) {
        return sessionId != 0 && sessionId <= _count;
    }

    /// @inheritdoc ISession
    function ownerOf(uint256 sessionId) external view returns (address) {
        return _session(sessionId).owner;
    }

    /// @inheritdoc ISession
    function modelOf(uint256 sessionId) external view returns (uint256) {
        return _session(sessionId).modelIdentifier;
    }

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

    /// @notice The latest session that the account owns; 0 when it owns none.
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

    /// @notice A page of the account's sessions; short or empty at the end.
    function getSessionsByAddressByPage(address userAddr, uint256 offset, uint256 amount)
        external
        view
        returns (SessionView[] memory page)
    {
        uint256[] storage ids = _sessionIdsOf[userAddr];
        if (offset >= ids.length) return page;
        uint256 size = amount < ids.length - offset ? amount : ids.length - offset;
        page = new SessionView[](size);
        for (uint256 i; i < size; ++i) {
            page[i] = getSession(ids[offset + i]);
        }
    }

    /// @return ids the account's sessions
    /// @return names of each
    /// @return metadatas of each
    /// @return modes of each
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

    /// @notice How many routers were ever on the list, removed ones included: one more than the last index.
    function getRouterCount(uint256 sessionId) external view returns (uint256) {
        return _routers[sessionId].length;
    }

    /// @notice The router of an index; the zero address when it was removed or never was.
    function getRouterAddress(uint256 sessionId, uint256 index) external view returns (address) {
        RouterEntry[] storage list = _routers[sessionId];
        return index < list.length && list[index].active ? list[index].router : address(0);
    }

    /// @notice The router's index, and with it its lane; -1 when it is not on the list.
    function getRouterIndex(uint256 sessionId, address routerAddress) external view returns (int256) {
        if (!_isRouter(sessionId, routerAddress)) return -1;
        // Fits: a list that long cannot be written.
        return int256(_routerIndexPlusOne[sessionId][routerAddress]) - 1;
    }

    /// @notice The same; reverts when the router is not on the list.
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

    /// @notice The last router on the list; the zero address when there is none.
    function getLatestRouterAddress(uint256 sessionId) external view returns (address) {
        (bool found, uint256 index) = _latestRouter(sessionId);
        return found ? _routers[sessionId][index].router : address(0);
    }

    /// @notice The last router's index; reverts when there is none.
    function getLatestRouterIndex(uint256 sessionId) external view returns (uint256) {
        (bool found, uint256 index) = _latestRouter(sessionId);
        if (!found) revert NotRouter(sessionId, address(0));
        return index;
    }

    /// @notice The last router's metadata; empty when there is none.
    function getLatestRouterInfo(uint256 sessionId) public view returns (string memory) {
        (bool found, uint256 index) = _latestRouter(sessionId);
        return found ? _routers[sessionId][index].metadata : "";
    }

    /// @notice The last router's metadata of each of the account's sessions.
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

    function getNodeId(address addr) public pure returns (bytes32) {
        return NodeIds.idOf(addr);
    }

    // ---------------------------------------------------------------- inside

    function _session(uint256 sessionId) internal view returns (Record storage record) {
        if (!doesSessionExist(sessionId)) revert SessionNotFound(sessionId);
        return _sessions[sessionId];
    }

    /// @dev Of a session that is known to exist.
    function _modeOf(uint256 sessionId) internal view returns (uint256) {
        return _sessions[sessionId].mode;
    }

    function _append(address owner, bytes32 sid) internal returns (uint256 sessionId) {
        sessionId = ++_count;
        Record storage record = _sessions[sessionId];
        record.owner = owner;
        record.sid = sid;
        record.createdAt = uint40(block.timestamp);
        record.updatedAt = uint40(block.timestamp);
        _sessionIdsOf[owner].push(sessionId);
    }

    function _moveOwnership(uint256 sessionId, address newOwner) internal {
        Record storage record = _session(sessionId);
        uint256[] storage ids = _sessionIdsOf[record.owner];
        // The order stays, since the last one is the "latest".
        bool passed;
        for (uint256 i; i < ids.length; ++i) {
            if (passed) ids[i - 1] = ids[i];
            else passed = ids[i] == sessionId;
        }
        ids.pop();
        _sessionIdsOf[newOwner].push(sessionId);
        record.owner = newOwner;
        _changed(record);
    }

    /// @dev Counts as well, so that a change costs the same at any time: an estimate that is made in the block of
    ///      the last change would find the time written already, and the transaction would run out of gas.
    function _changed(Record storage record) internal {
        record.updatedAt = uint40(block.timestamp);
        unchecked {
            ++record.changes;
        }
    }

    /// @dev A router that comes back gets its old index.
    function _listRouter(uint256 sessionId, address router, string memory metadata) internal returns (uint256 index) {
        RouterEntry[] storage list = _routers[sessionId];
        if (_routerIndexPlusOne[sessionId][router] == 0) {
            list.push();
            _routerIndexPlusOne[sessionId][router] = list.length;
        }
        index = _routerIndexPlusOne[sessionId][router] - 1;
        list[index].router = router;
        list[index].active = true;
        list[index].metadata = metadata;
    }

    function _isRouter(uint256 sessionId, address router) internal view returns (bool) {
        (bool found,) = _findRouter(sessionId, router);
        return found;
    }

    function _router(uint256 sessionId, address router) internal view returns (RouterEntry storage, uint256) {
        (bool found, uint256 index) = _findRouter(sessionId, router);
        if (!found) revert NotRouter(sessionId, router);
        return (_routers[sessionId][index], index);
    }

    /// @dev The first number of the router's lane; 0, which is the owner's, when it is not on the list.
    function _laneOf(uint256 sessionId, address router) internal view returns (uint256) {
        (bool found, uint256 index) = _findRouter(sessionId, router);
        return found ? (index + 1) * LANE_SIZE : 0;
    }

    /// @return whether the router is on the list
    /// @return index its place there
    function _findRouter(uint256 sessionId, address router) internal view returns (bool, uint256 index) {
        uint256 indexPlusOne = _routerIndexPlusOne[sessionId][router];
        if (indexPlusOne == 0) return (false, 0);
        index = indexPlusOne - 1;
        return (_routers[sessionId][index].active, index);
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
