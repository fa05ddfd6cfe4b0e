// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title The storage of sessions, their routers and their nodes. SessionViews has the views of it.
abstract contract SessionLedger {
    /// @dev Words 0 and 1 (248 bits each) contain everything that a submission reads and counts.
    ///      `tasks` counts all submissions. `directTasks` counts those of the owner and gives them their numbers.
    ///      `_changed` describes `changes`.
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

    /// @dev Entries are never deleted, since an entry's index determines the router's lane.
    struct RouterEntry {
        address router;
        bool active;
        string metadata;
    }

    /// @dev A node's place on a session's list. Everything but `sessionId` takes one word: 160 + 40 + 8 = 208 bits.
    struct Hire {
        address node;
        uint40 assignedAt;
        uint8 place;
        uint256 sessionId;
    }

    /// @notice Router i of a session numbers its tasks from (i + 1) × LANE_SIZE on. The owner's tasks start at 0.
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

    /// @dev The session must exist.
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
        // Keep the order of the list, since its last entry is the account's latest session.
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

    /// @dev Writes the time of the change, and also counts it, so that a change costs the same gas at any time. Without
    ///      the counter, an estimate in the second of the last change would find the time already written, and the
    ///      transaction would run out of gas.
    function _changed(Record storage record) internal {
        record.updatedAt = uint40(block.timestamp);
        unchecked {
            ++record.changes;
        }
    }

    /// @dev A router that is added again gets its old index.
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

    /// @dev The first number of the router's lane, or 0 if the router is not on the list.
    function _laneOf(uint256 sessionId, address router) internal view returns (uint256) {
        (bool found, uint256 index) = _findRouter(sessionId, router);
        return found ? (index + 1) * LANE_SIZE : 0;
    }

    /// @return whether the router is on the list
    /// @return index its index in the list
    function _findRouter(uint256 sessionId, address router) internal view returns (bool, uint256 index) {
        uint256 indexPlusOne = _routerIndexPlusOne[sessionId][router];
        if (indexPlusOne == 0) return (false, 0);
        index = indexPlusOne - 1;
        return (_routers[sessionId][index].active, index);
    }
}
