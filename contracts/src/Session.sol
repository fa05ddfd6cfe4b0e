// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";

import {Batching} from "./Batching.sol";
import {ISession} from "./ISession.sol";
import {NodePool} from "./NodePool.sol";
import {OverdueTasks} from "./OverdueTasks.sol";
import {RoleGuarded, RoleIds, Roles} from "./Roles.sol";
import {SessionNodes} from "./SessionNodes.sol";
import {SessionPayment} from "./SessionPayment.sol";
import {SessionQueue} from "./SessionQueue.sol";
import {SessionRouters} from "./SessionRouters.sol";
import {TaskTerms} from "./TaskTerms.sol";
import {MAX_REDUNDANCY, NewTask, Submission} from "./TaskTypes.sol";

/// @title Sessions: who asks, on what terms, and through which routers.
/// @notice A session's owner submits tasks itself (`submit`) or through the routers on the session's list
///         (`relaySubmissions`). Each router numbers its tasks in its own lane, so that a task has its
///         identity before the chain has seen it.
///         The administrator can pause what comes in (`create`, `submit`, `relaySubmissions`); what runs ends
///         as usual, and money can always be withdrawn.
contract Session is SessionRouters, Batching, Pausable {
    uint256 public constant MAX_RESERVE_PERIOD = 365 days;
    uint256 public constant MAX_TASK_EXECUTION_COUNT = LANE_SIZE;
    uint256 public constant MAX_MODE = 2;
    uint256 public constant MAX_TEXT_BYTES = 16 * 1024;
    uint256 public constant MAX_REFERENCE_BYTES = 256;
    uint256 public constant MAX_PARAMETERS = 64;
    /// @dev What a chat template may add to a prompt, in tokens.
    uint256 public constant TEMPLATE_TOKENS = 64;

    SessionQueue public immutable queue;
    SessionPayment public immutable payment;

    mapping(address creator => uint256) public creatorNonces;

    event SessionCreated(uint256 sessionId, bytes32 sid, address owner, address[] miners);
    /// @dev All that `create` and `update` set, so that a mirror needs the logs only.
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
    event TaskAssigned(uint256 sessionId, uint256 taskId, bytes32[] nodeIds);
    event TaskSubmitted(uint256 sessionId, uint256 taskId, string taskData, string clientReference);
    /// @dev Of a task that says more than its terms. Those, and what binds all of it, SessionPayment tells with the
    ///      reservation.
    event TaskDescribed(
        uint256 sessionId,
        uint256 taskId,
        uint256 promptType,
        string promptTemplate,
        uint256[] llmParams,
        uint256[] requestParams,
        uint256 maxInputTokens
    );

    error ModelWithoutPrice(uint256 modelIdentifier);
    error NotQueue(address account);
    error NotSelf(address account);
    error TaskLimitReached(uint256 sessionId, uint256 limit);
    error EmptyTaskData();
    /// @dev The task ran out of gas in the queue: the batch reverts, or its sender could make a good element
    ///      fail by giving too little.
    error ElementOutOfGas(uint256 index);
    error MaxTokensMissing();
    error OutsideLane(uint256 taskId, uint256 first);

    constructor(Roles roles_, SessionQueue queue_, SessionPayment payment_, NodePool pool_)
        SessionNodes(pool_)
        RoleGuarded(roles_)
    {
        queue = queue_;
        payment = payment_;
    }

    function pauseIntake() external onlyRole(RoleIds.ADMIN) {
        _pause();
    }

    function unpauseIntake() external onlyRole(RoleIds.ADMIN) {
        _unpause();
    }

    // ---------------------------------------------------------------- sessions

    /// @notice Opens a session; its number comes with SessionCreated.
    /// @param variableAddress the owner; the sender when zero
    /// @param redundant how many miners answer each task; 0 means 1
    /// @param mode 0 ephemeral, 1 dedicated, 2 hybrid
    /// @param maxTaskExecutionCount how many tasks it may run; 0 means as many as a session can
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
        uint256 sessionId = _open(variableAddress == address(0) ? msg.sender : variableAddress);
        Record storage record = _session(sessionId);
        record.name = name;
        record.metadata = metadata;
        record.reserveEphemeralNodes = reserveEphemeralNodes;
        record.sla = sla;
        record.modelIdentifier = modelIdentifier;
        record.reservePeriod = reservePeriod;
        record.maxTaskExecutionCount =
            maxTaskExecutionCount == 0 ? uint32(MAX_TASK_EXECUTION_COUNT) : _limit(maxTaskExecutionCount);
        _setTerms(record, minNumOfNodes, maxNumOfNodes, redundant, numOfValidatorNodes, mode);
        _announce(sessionId, record);
    }

    /// @notice Changes what a session's next tasks run on. The model, the limits of use and the routers stay.
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
        record.updatedAt = uint40(block.timestamp);
        _describe(sessionId, record);
        emit SessionUpdated(sessionId, msg.sender, record.minNumOfNodes, record.maxNumOfNodes, record.redundant);
    }

    /// @notice Hands the session over, with its balance and its right to submit.
    function updateOwner(uint256 sessionId, address newOwner) external onlyOwner(sessionId) {
        if (newOwner == address(0)) revert ZeroAddress();
        _moveOwnership(sessionId, newOwner);
        emit SessionOwnerChanged(sessionId, msg.sender, newOwner);
    }

    /// @notice Closes the session for new tasks, for good. Running ones end as usual, and the balance can be
    ///         withdrawn.
    function deactivateSession(uint256 sessionId) external onlyOwner(sessionId) {
        Record storage record = _session(sessionId);
        if (record.state != STATE_ACTIVE) revert SessionInactive(sessionId);
        record.state = STATE_INACTIVE;
        record.updatedAt = uint40(block.timestamp);
        emit SessionDeactivated(sessionId, msg.sender);
    }

    // ---------------------------------------------------------------- tasks

    /// @notice Submits a task with the session's next running number. For the session's owner.
    /// @dev `nodeType` belongs to the published interface; the kind of node follows from the session's mode.
    function submit(
        uint256 sessionId,
        uint256 nodeType,
        string calldata taskData,
        uint256 promptType,
        string calldata promptTemplate,
        uint256[] calldata llmParams,
        uint256[] calldata requestParams,
        string calldata clientReference
    ) external onlyOwner(sessionId) whenNotPaused {
        nodeType; // not used, but named for callers that pass by name
        Submission memory submission;
        submission.sessionId = sessionId;
        submission.taskData = taskData;
        submission.promptType = promptType;
        submission.promptTemplate = promptTemplate;
        submission.llmParams = llmParams;
        submission.requestParams = requestParams;
        submission.clientReference = clientReference;
        _submitDirect(submission);
    }

    /// @inheritdoc ISession
    /// @dev SessionQueue.enqueueTask, which is the published door, comes here.
    function submitByModule(
        uint256 sessionId,
        string calldata taskData,
        uint256 promptType,
        string calldata promptTemplate,
        uint256[] calldata llmParams,
        uint256[] calldata requestParams
    ) external onlyModule whenNotPaused returns (uint256 taskId) {
        Submission memory submission;
        submission.sessionId = sessionId;
        submission.taskData = taskData;
        submission.promptType = promptType;
        submission.promptTemplate = promptTemplate;
        submission.llmParams = llmParams;
        submission.requestParams = requestParams;
        return _submitDirect(submission);
    }

    /// @notice Of this contract to itself: takes what a direct door has put together. So one code serves all doors, and
    ///         reads a submission where its call has put it.
    function takeOwn(Submission calldata submission) external {
        if (msg.sender != address(this)) revert NotSelf(msg.sender);
        _orRevert(_take(0, submission));
    }

    /// @notice Submits tasks in the sender's lanes: see getRouterIndex. A bad one is skipped.
    function relaySubmissions(Submission[] calldata items) external whenNotPaused {
        uint256 begin = _memory();
        for (uint256 i; i < items.length; ++i) {
            _report("submit", i, _relay(i, items[i]));
            _free(begin);
        }
    }

    /// @notice What binds all that a task says; every signed message about the task carries it.
    function digestOf(Submission calldata s) external view returns (bytes32) {
        (bytes memory refusal, uint256 terms) =
            TaskTerms.pack(s.promptType, s.llmParams, s.requestParams, s.maxInputTokens);
        _orRevert(refusal);
        (, bytes32 content) = TaskTerms.contentOf(s.taskData);
        bytes32 rest = TaskTerms.restOf(s.promptTemplate, s.clientReference, s.llmParams, s.requestParams);
        return TaskTerms.digestOf(_session(s.sessionId).sid, s.taskId, content, terms, rest);
    }

    /// @inheritdoc ISession
    /// @dev The queue has looked at all else before, and changes nothing when not all are accepted.
    function admitAssignment(uint256 sessionId, uint256 taskId, bytes32[] calldata nodeIds)
        external
        returns (uint256 accepted)
    {
        if (msg.sender != address(queue)) revert NotQueue(msg.sender);
        uint256 mode = _modeOf(sessionId);
        while (accepted < nodeIds.length && _mayWorkFor(sessionId, mode, nodeIds[accepted])) ++accepted;
        if (accepted == nodeIds.length) emit TaskAssigned(sessionId, taskId, nodeIds);
    }

    function getTaskResults(uint256 sessionId, uint256 taskId)
        external
        view
        returns (address[] memory, string[] memory)
    {
        return OverdueTasks(address(queue)).getTaskResults(sessionId, taskId);
    }

    function isOracleNode(address addr) external view returns (bool) {
        return roles.hasRole(RoleIds.ORACLE, addr);
    }

    // ---------------------------------------------------------------- inside

    function _open(address owner) private returns (uint256 sessionId) {
        bytes32 sid = keccak256(abi.encode(block.chainid, address(this), msg.sender, creatorNonces[msg.sender]++));
        sessionId = _append(owner, sid);
        emit SessionCreated(sessionId, sid, owner, new address[](0));
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
        (uint256 inputPrice, uint256 outputPrice) = payment.modelPrice(record.modelIdentifier);
        if (inputPrice == 0 && outputPrice == 0) revert ModelWithoutPrice(record.modelIdentifier);
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

    function _limit(uint256 maxTaskExecutionCount) private pure returns (uint32) {
        _requireAtMost("maxTaskExecutionCount", maxTaskExecutionCount, MAX_TASK_EXECUTION_COUNT);
        return uint32(maxTaskExecutionCount);
    }

    /// @dev A task with the session's next running number.
    function _submitDirect(Submission memory s) private returns (uint256 taskId) {
        taskId = _session(s.sessionId).directTasks++;
        s.taskId = taskId;
        // Nobody has counted the tokens yet; a token is at least one byte.
        s.maxInputTokens = bytes(s.taskData).length + bytes(s.promptTemplate).length + TEMPLATE_TOKENS;
        this.takeOwn(s);
    }

    /// @dev One element of relaySubmissions.
    function _relay(uint256 i, Submission calldata s) private returns (bytes memory) {
        (bool isRouter, uint256 index) = _findRouter(s.sessionId, msg.sender);
        if (!isRouter) return abi.encodeWithSelector(NotRouter.selector, s.sessionId, msg.sender);
        uint256 first = (index + 1) * LANE_SIZE;
        if (s.taskId < first || s.taskId >= first + LANE_SIZE) {
            return abi.encodeWithSelector(OutsideLane.selector, s.taskId, first);
        }
        return _take(i, s);
    }

    /// @param i the element's place in its batch
    /// @return refusal when the session, the queue or the escrow does not take the task
    function _take(uint256 i, Submission calldata s) private returns (bytes memory refusal) {
        Record storage record = _session(s.sessionId);
        if (record.state != STATE_ACTIVE) return abi.encodeWithSelector(SessionInactive.selector, s.sessionId);
        if (record.tasks >= record.maxTaskExecutionCount) {
            return abi.encodeWithSelector(TaskLimitReached.selector, s.sessionId, record.maxTaskExecutionCount);
        }
        string calldata taskData = s.taskData;
        NewTask memory task;
        (refusal, task.terms, task.rest) = _termsOf(s, bytes(taskData).length);
        if (refusal.length != 0) return refusal;
        task.sessionId = s.sessionId;
        task.taskId = s.taskId;
        task.sid = record.sid;
        task.modelIdentifier = record.modelIdentifier;
        task.redundancy = record.redundant;
        (task.isText, task.content) = TaskTerms.contentOf(taskData);
        try queue.enqueue(task, taskData, s.promptTemplate) {}
        catch (bytes memory reason) {
            // Every refusal of ours carries data.
            if (reason.length == 0) revert ElementOutOfGas(i);
            return reason;
        }
        ++record.tasks;
        emit TaskSubmitted(s.sessionId, s.taskId, taskData, s.clientReference);
        if (task.rest != 0) _describeTask(s);
    }

    /// @dev The queue keeps these values in the ranges that are checked here.
    function _termsOf(Submission calldata s, uint256 dataBytes)
        private
        pure
        returns (bytes memory refusal, uint256 terms, bytes32 rest)
    {
        string calldata promptTemplate = s.promptTemplate;
        string calldata clientReference = s.clientReference;
        uint256[] calldata llmParams = s.llmParams;
        uint256[] calldata requestParams = s.requestParams;
        // What the terms do not check: they know what fits into them.
        if (dataBytes == 0) {
            refusal = abi.encodeWithSelector(EmptyTaskData.selector);
        } else if (llmParams.length == 0 || llmParams[0] == 0) {
            refusal = abi.encodeWithSelector(MaxTokensMissing.selector);
        } else if (dataBytes > MAX_TEXT_BYTES) {
            refusal = _outOfRange("taskData", dataBytes, MAX_TEXT_BYTES);
        } else if (bytes(promptTemplate).length > MAX_TEXT_BYTES) {
            refusal = _outOfRange("promptTemplate", bytes(promptTemplate).length, MAX_TEXT_BYTES);
        } else if (bytes(clientReference).length > MAX_REFERENCE_BYTES) {
            refusal = _outOfRange("clientReference", bytes(clientReference).length, MAX_REFERENCE_BYTES);
        } else if (llmParams.length > MAX_PARAMETERS) {
            refusal = _outOfRange("llmParams.length", llmParams.length, MAX_PARAMETERS);
        } else if (requestParams.length > MAX_PARAMETERS) {
            refusal = _outOfRange("requestParams.length", requestParams.length, MAX_PARAMETERS);
        } else {
            (refusal, terms) = TaskTerms.pack(s.promptType, llmParams, requestParams, s.maxInputTokens);
            rest = TaskTerms.restOf(promptTemplate, clientReference, llmParams, requestParams);
        }
    }

    function _describeTask(Submission calldata s) private {
        emit TaskDescribed(
            s.sessionId,
            s.taskId,
            s.promptType,
            s.promptTemplate,
            s.llmParams,
            s.requestParams,
            s.maxInputTokens
        );
    }

    function _requireAtMost(bytes32 field, uint256 value, uint256 most) private pure {
        if (value > most) revert TaskTerms.OutOfRange(field, value, most);
    }

    function _outOfRange(bytes32 field, uint256 value, uint256 most) private pure returns (bytes memory) {
        return abi.encodeWithSelector(TaskTerms.OutOfRange.selector, field, value, most);
    }
}
