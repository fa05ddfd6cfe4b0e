// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Companion} from "../common/Companion.sol";
import {NodePool} from "../node/NodePool.sol";
import {RoleGuarded, RoleIds, Roles} from "../common/Roles.sol";
import {SessionNodes} from "./SessionNodes.sol";
import {SessionPayment} from "../money/SessionPayment.sol";
import {SessionQueue} from "../task/SessionQueue.sol";
import {SessionTasks} from "./SessionTasks.sol";
import {SessionViews} from "./SessionViews.sol";
import {TaskTerms} from "../task/TaskTerms.sol";
import {MAX_REDUNDANCY} from "../task/TaskTypes.sol";

/// @title Sessions: their owners, their terms and their routers.
/// @notice SessionTasks handles submissions, SessionRouters the list of routers, and SessionNodes the list of nodes.
///         The administrator can pause `create`, `submit` and `relaySubmissions`. Running tasks then end as usual, and
///         money can always be withdrawn. Clients call this contract for the views too, which are in SessionViews.
/// @dev Calls of functions that this contract does not have are delegated to SessionViews: together they would exceed
///      the size limit of a contract (EIP-170). SessionLedger is the first base of both, so they have the same storage
///      layout. The address of SessionViews is immutable.
contract Session is SessionTasks, Companion {
    uint256 public constant MAX_RESERVE_PERIOD = 365 days;
    uint256 public constant MAX_TASK_EXECUTION_COUNT = LANE_SIZE;
    uint256 public constant MAX_MODE = 2;
    SessionPayment public immutable payment;
    SessionViews public immutable views;

    mapping(address creator => uint256) public creatorNonces;

    event SessionCreated(uint256 sessionId, bytes32 sid, address owner, address[] miners);
    /// @dev Contains what `create` and `update` set, so that a mirror can be built from logs alone.
    event SessionDescribed(
        uint256 indexed sessionId,
        string name,
        string metadata,
        bool reserveEphemeralNodes,
        uint256 sla,
        uint256 modelIdentifier,
        uint256 reservePeriod,
        uint256 maxTaskExecutionCount
    );
    event SessionTermsSet(
        uint256 indexed sessionId,
        uint256 mode,
        uint256 redundant,
        uint256 minNumOfNodes,
        uint256 maxNumOfNodes,
        uint256 numOfValidatorNodes
    );
    event SessionUpdated(
        uint256 indexed sessionId,
        address indexed updater,
        uint256 minNumOfNodes,
        uint256 maxNumOfNodes,
        uint256 redundant
    );
    event SessionOwnerChanged(uint256 indexed sessionId, address indexed from, address indexed to);
    event SessionDeactivated(uint256 indexed sessionId, address indexed deactivator);

    error ModelWithoutPrice(uint256 modelIdentifier);

    constructor(
        Roles roles_,
        SessionQueue queue_,
        SessionPayment payment_,
        NodePool pool_,
        SessionViews views_
    ) SessionTasks(queue_) SessionNodes(pool_) RoleGuarded(roles_) {
        payment = payment_;
        views = views_;
    }

    function pauseIntake() external onlyRole(RoleIds.ADMIN) {
        _pause();
    }

    function unpauseIntake() external onlyRole(RoleIds.ADMIN) {
        _unpause();
    }

    // ---------------------------------------------------------------- sessions

    /// @notice Opens a session. SessionCreated contains its number.
    /// @param variableAddress the owner; zero for the sender
    /// @param redundant the number of miners that answer each task; 0 means 1
    /// @param mode 0 ephemeral, 1 dedicated, 2 hybrid
    /// @param modelIdentifier the model; 0 means the network's default model if no model has the number 0
    /// @param maxTaskExecutionCount the most tasks that the session may run; 0 means the most that any session may
    function create(
        string calldata name,
        string calldata metadata,
        address variableAddress,
        uint256 minNumOfNodes,
        uint256 maxNumOfNodes,
        uint256 redundant,
        uint256 numOfValidatorNodes,
        uint256 mode,
        bool reserveEphemeralNodes,
        uint256 sla,
        uint256 modelIdentifier,
        uint256 reservePeriod,
        uint256 maxTaskExecutionCount
    ) external whenNotPaused {
        (uint256 sessionId, Record storage record) = _open(name, metadata, variableAddress, reserveEphemeralNodes);
        record.sla = sla;
        record.modelIdentifier = modelIdentifier;
        record.reservePeriod = reservePeriod;
        record.maxTaskExecutionCount = _limit(maxTaskExecutionCount);
        _setTerms(record, minNumOfNodes, maxNumOfNodes, redundant, numOfValidatorNodes, mode);
        _announce(sessionId, record);
    }

    /// @notice The earlier published form of `create`, with the network's default model and without limits.
    function create(
        string calldata name,
        string calldata metadata,
        address variableAddress,
        uint256 minNumOfNodes,
        uint256 maxNumOfNodes,
        uint256 redundant,
        uint256 numOfValidatorNodes,
        uint256 mode,
        bool reserveEphemeralNodes
    ) external whenNotPaused {
        (uint256 sessionId, Record storage record) = _open(name, metadata, variableAddress, reserveEphemeralNodes);
        record.maxTaskExecutionCount = _limit(0);
        _setTerms(record, minNumOfNodes, maxNumOfNodes, redundant, numOfValidatorNodes, mode);
        _announce(sessionId, record);
    }

    /// @notice Changes the terms of a session's future tasks. The model, the limits of use and the routers stay.
    function update(
        string calldata name,
        string calldata metadata,
        uint256 sessionId,
        uint256 minNumOfNodes,
        uint256 maxNumOfNodes,
        uint256 redundant,
        uint256 numOfValidatorNodes,
        uint256 mode
    ) external onlyOwner(sessionId) {
        Record storage record = _session(sessionId);
        record.name = name;
        record.metadata = metadata;
        _setTerms(record, minNumOfNodes, maxNumOfNodes, redundant, numOfValidatorNodes, mode);
        _changed(record);
        _describe(sessionId, record);
        emit SessionUpdated(sessionId, msg.sender, record.minNumOfNodes, record.maxNumOfNodes, record.redundant);
    }

    /// @notice Transfers the session to another owner, with its balance and the right to submit tasks.
    function updateOwner(uint256 sessionId, address newOwner) external onlyOwner(sessionId) {
        if (newOwner == address(0)) revert ZeroAddress();
        _moveOwnership(sessionId, newOwner);
        emit SessionOwnerChanged(sessionId, msg.sender, newOwner);
    }

    /// @notice Closes the session for new tasks permanently. Running tasks end as usual, and the balance can be
    ///         withdrawn.
    function deactivateSession(uint256 sessionId) external onlyOwner(sessionId) {
        Record storage record = _session(sessionId);
        if (record.state != STATE_ACTIVE) revert SessionInactive(sessionId);
        // `_changed` has to come first. A storage write requires more than 2,300 gas to be left (EIP-2200). A gas
        // estimate within the second of the last change needs no write of the time, and so would leave too little.
        _changed(record);
        record.state = STATE_INACTIVE;
        emit SessionDeactivated(sessionId, msg.sender);
    }

    // ---------------------------------------------------------------- inside

    function _companion() internal view override returns (address) {
        return address(views);
    }

    function _open(
        string calldata name,
        string calldata metadata,
        address variableAddress,
        bool reserveEphemeralNodes
    ) private returns (uint256 sessionId, Record storage record) {
        address owner = variableAddress == address(0) ? msg.sender : variableAddress;
        bytes32 sid = keccak256(abi.encode(block.chainid, address(this), msg.sender, creatorNonces[msg.sender]++));
        sessionId = _append(owner, sid);
        emit SessionCreated(sessionId, sid, owner, new address[](0));
        record = _session(sessionId);
        record.name = name;
        record.metadata = metadata;
        record.reserveEphemeralNodes = reserveEphemeralNodes;
    }

    function _setTerms(
        Record storage record,
        uint256 minNumOfNodes,
        uint256 maxNumOfNodes,
        uint256 redundant,
        uint256 numOfValidatorNodes,
        uint256 mode
    ) private {
        if (redundant == 0) redundant = 1;
        _requireAtMost("redundant", redundant, MAX_REDUNDANCY);
        _requireAtMost("mode", mode, MAX_MODE);
        _requireAtMost("maxNumOfNodes", maxNumOfNodes, type(uint32).max);
        _requireAtMost("minNumOfNodes", minNumOfNodes, maxNumOfNodes);
        _requireAtMost("numOfValidatorNodes", numOfValidatorNodes, type(uint16).max);
        record.redundant = uint8(redundant);
        record.mode = uint8(mode);
        record.minNumOfNodes = uint32(minNumOfNodes);
        record.maxNumOfNodes = uint32(maxNumOfNodes);
        record.numOfValidatorNodes = uint16(numOfValidatorNodes);
    }

    function _announce(uint256 sessionId, Record storage record) private {
        uint256 model = record.modelIdentifier;
        if (!_isPriced(model)) {
            if (model == 0) model = payment.defaultModel();
            if (!_isPriced(model)) revert ModelWithoutPrice(model);
            record.modelIdentifier = model;
        }
        _requireAtMost("reservePeriod", record.reservePeriod, MAX_RESERVE_PERIOD);
        _describe(sessionId, record);
        _addDefaultRouter(sessionId);
    }

    function _describe(uint256 sessionId, Record storage record) private {
        emit SessionDescribed(
            sessionId,
            record.name,
            record.metadata,
            record.reserveEphemeralNodes,
            record.sla,
            record.modelIdentifier,
            record.reservePeriod,
            record.maxTaskExecutionCount
        );
        emit SessionTermsSet(
            sessionId,
            record.mode,
            record.redundant,
            record.minNumOfNodes,
            record.maxNumOfNodes,
            record.numOfValidatorNodes
        );
    }

    function _isPriced(uint256 modelIdentifier) private view returns (bool) {
        (uint256 inputPrice, uint256 outputPrice) = payment.modelPrice(modelIdentifier);
        return inputPrice != 0 || outputPrice != 0;
    }

    function _limit(uint256 maxTaskExecutionCount) private pure returns (uint32) {
        if (maxTaskExecutionCount == 0) return uint32(MAX_TASK_EXECUTION_COUNT);
        _requireAtMost("maxTaskExecutionCount", maxTaskExecutionCount, MAX_TASK_EXECUTION_COUNT);
        return uint32(maxTaskExecutionCount);
    }

    function _requireAtMost(bytes32 field, uint256 value, uint256 most) private pure {
        if (value > most) revert TaskTerms.OutOfRange(field, value, most);
    }
}
