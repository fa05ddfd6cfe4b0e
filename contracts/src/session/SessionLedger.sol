// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title How sessions, their routers and their nodes are kept. SessionViews reads them out.
abstract contract SessionLedger {
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

    /// @dev A node's place on a session's list. One storage word beside the session's number: 160 + 40 + 8 = 208 bits.
    struct Hire {
        address node;
        uint40 assignedAt;
        uint8 place;
        uint256 sessionId;
    }

    /// @notice Router i of a session numbers its tasks from (i + 1) × LANE_SIZE, the owner its own from 0.
    uint256 public constant LANE_SIZE = 1_000_000;
    uint8 internal constant STATE_ACTIVE = 0;
    uint8 internal constant STATE_INACTIVE = 1;

    mapping(uint256 sessionId => RouterEntry[]) internal _routers;
    mapping(uint256 sessionId => address[]) internal _dedicatedNodes;
    mapping(uint256 sessionId => mapping(address router => uint256)) internal _routerIndexPlusOne;
    uint256 internal _count;
    mapping(uint256 sessionId => Record) internal _sessions;
    mapping(address owner => uint256[]) internal _sessionIdsOf;
    mapping(bytes32 nodeId => Hire) internal _hires;

    error SessionNotFound(uint256 sessionId);
    error NotRouter(uint256 sessionId, address account);

    function _exists(uint256 sessionId) internal view returns (bool) {
        return sessionId != 0 && sessionId <= _count;
    }

    function _session(uint256 sessionId) internal view returns (Record storage record) {
        if (!_exists(sessionId)) revert SessionNotFound(sessionId);
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
}
