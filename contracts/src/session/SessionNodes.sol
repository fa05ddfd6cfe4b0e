// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ISession} from "./ISession.sol";
import {NodeIds} from "../node/NodeIds.sol";
import {NodePool} from "../node/NodePool.sol";
import {RoleGuarded, RoleIds} from "../common/Roles.sol";
import {SessionLedger} from "./SessionLedger.sol";

/// @title The nodes on a session's own list.
/// @notice A session's owner adds nodes to its list. A node is on at most one list. While a listed node is Ephemeral,
///         it serves shared sessions too. Only its operator can make it Dedicated (NodePool.setDedicated), so that it
///         works for its session alone. The node, its operator, the session's owner or an oracle can remove it at any
///         time. Anyone can remove it once the session's reservePeriod is over or the session is closed.
abstract contract SessionNodes is SessionLedger, ISession, RoleGuarded {
    uint256 public constant MAX_DEDICATED_NODES = 64;
    /// @dev The mode in which only the nodes on the list work for the session.
    uint256 private constant MODE_DEDICATED = 1;
    /// @dev The `assignmentType` of a dedicated node in NewNodeAssignedToSession.
    uint256 private constant ASSIGNMENT_DEDICATED = 1;

    NodePool public immutable pool;

    event DedicatedNodeAdded(address indexed nodeAddress);
    event DedicatedNodeRemoved(address indexed nodeAddress);
    event NewNodeAssignedToSession(
        uint256 indexed sessionId, address[] nodeAddresses, uint256 newNodeCount, uint256 assignmentType
    );
    event NodeReleased(bytes32 nodeId, uint256 sessionId);

    error NotSessionOwner(uint256 sessionId, address account);
    error SessionInactive(uint256 sessionId);
    error NodeNotEligible(address node);
    error NodeServesOtherModels(address node, uint256 modelIdentifier);
    error NodeTaken(address node, uint256 sessionId);
    error TooManyNodes(uint256 sessionId, uint256 most);
    error NodeNotOfSession(address node, uint256 sessionId);
    error NodeNotAssigned(bytes32 nodeId);
    error MayNotRelease(bytes32 nodeId, address account);

    modifier onlyOwner(uint256 sessionId) {
        if (_session(sessionId).owner != msg.sender) revert NotSessionOwner(sessionId, msg.sender);
        _;
    }

    constructor(NodePool pool_) {
        pool = pool_;
    }

    /// @notice Adds a node to the session's list. The node must be eligible for users' tasks, serve the session's
    ///         model, and be on no other list.
    function addDedicatedNode(uint256 sessionId, address nodeAddress) external onlyOwner(sessionId) {
        Record storage record = _session(sessionId);
        if (record.state != STATE_ACTIVE) revert SessionInactive(sessionId);
        if (!pool.isEligible(nodeAddress)) revert NodeNotEligible(nodeAddress);
        if (!pool.serves(nodeAddress, record.modelIdentifier)) {
            revert NodeServesOtherModels(nodeAddress, record.modelIdentifier);
        }
        bytes32 nodeId = NodeIds.idOf(nodeAddress);
        Hire storage hire = _hires[nodeId];
        if (hire.sessionId != 0) {
            if (!_isOver(hire)) revert NodeTaken(nodeAddress, hire.sessionId);
            _release(nodeId, hire);
        }
        address[] storage list = _dedicatedNodes[sessionId];
        if (list.length == MAX_DEDICATED_NODES) revert TooManyNodes(sessionId, MAX_DEDICATED_NODES);
        _hires[nodeId] = Hire(nodeAddress, uint40(block.timestamp), uint8(list.length), sessionId);
        list.push(nodeAddress);
        address[] memory added = new address[](1);
        added[0] = nodeAddress;
        emit DedicatedNodeAdded(nodeAddress);
        emit NewNodeAssignedToSession(sessionId, added, 1, ASSIGNMENT_DEDICATED);
    }

    /// @notice Removes a node from the session's list. Its current tasks continue.
    function removeDedicatedNode(uint256 sessionId, address nodeAddress) external onlyOwner(sessionId) {
        bytes32 nodeId = NodeIds.idOf(nodeAddress);
        Hire storage hire = _hires[nodeId];
        if (hire.sessionId != sessionId) revert NodeNotOfSession(nodeAddress, sessionId);
        _release(nodeId, hire);
    }

    /// @notice Removes a node from the list that it is on. Callable by the node, its operator, the session's owner and
    ///         oracles; by anyone once the reservePeriod is over or the session is closed.
    function releaseByNodeId(bytes32 nodeId) external {
        Hire storage hire = _hires[nodeId];
        if (hire.sessionId == 0) revert NodeNotAssigned(nodeId);
        if (!_mayRelease(hire, msg.sender) && !_isOver(hire)) revert MayNotRelease(nodeId, msg.sender);
        _release(nodeId, hire);
    }

    /// @inheritdoc ISession
    function doesSessionExist(uint256 sessionId) external view returns (bool) {
        return _exists(sessionId);
    }

    /// @inheritdoc ISession
    function ownerOf(uint256 sessionId) external view returns (address) {
        return _session(sessionId).owner;
    }

    /// @inheritdoc ISession
    function modelOf(uint256 sessionId) external view returns (uint256) {
        return _session(sessionId).modelIdentifier;
    }

    /// @inheritdoc ISession
    function mayWorkFor(uint256 sessionId, address node) external view returns (bool) {
        return _session(sessionId).mode != MODE_DEDICATED || _isOwn(sessionId, NodeIds.idOf(node));
    }

    /// @inheritdoc ISession
    function drawn(uint256 sessionId, bytes32 seed, uint256 attempt) external view returns (address) {
        if (_session(sessionId).mode != MODE_DEDICATED) return pool.drawn(seed, attempt);
        address[] storage list = _dedicatedNodes[sessionId];
        return list.length == 0 ? address(0) : list[uint256(keccak256(abi.encode(seed, attempt))) % list.length];
    }

    /// @dev Whether a session, which must exist, accepts only the nodes on its list. A hybrid session accepts any node.
    function _isDedicated(uint256 sessionId) internal view returns (bool) {
        return _modeOf(sessionId) == MODE_DEDICATED;
    }

    /// @dev The number of leading nodes that are on the session's list.
    function _ownAmong(uint256 sessionId, bytes32[] calldata nodeIds) internal view returns (uint256 own) {
        while (own < nodeIds.length && _isOwn(sessionId, nodeIds[own])) ++own;
    }

    function _isOwn(uint256 sessionId, bytes32 nodeId) private view returns (bool) {
        return _hires[nodeId].sessionId == sessionId;
    }

    function _mayRelease(Hire storage hire, address account) private view returns (bool) {
        return account == hire.node || account == pool.getNode(hire.node).operator
            || account == _session(hire.sessionId).owner || roles.hasRole(RoleIds.ORACLE, account);
    }

    /// @dev A reservePeriod of 0 does not end.
    function _isOver(Hire storage hire) private view returns (bool) {
        Record storage record = _session(hire.sessionId);
        if (record.state != STATE_ACTIVE) return true;
        return record.reservePeriod != 0 && block.timestamp > hire.assignedAt + record.reservePeriod;
    }

    function _release(bytes32 nodeId, Hire storage hire) private {
        (address node, uint256 sessionId, uint256 place) = (hire.node, hire.sessionId, hire.place);
        address[] storage list = _dedicatedNodes[sessionId];
        address last = list[list.length - 1];
        if (last != node) {
            list[place] = last;
            _hires[NodeIds.idOf(last)].place = uint8(place);
        }
        list.pop();
        delete _hires[nodeId];
        emit DedicatedNodeRemoved(node);
        emit NodeReleased(nodeId, sessionId);
    }
}
