// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";

import {Batching} from "../common/Batching.sol";
import {ISession} from "./ISession.sol";
import {SessionQueue} from "../task/SessionQueue.sol";
import {SessionRouters} from "./SessionRouters.sol";
import {TaskTerms} from "../task/TaskTerms.sol";
import {NewTask, Submission} from "../task/TaskTypes.sol";

/// @title The submission of tasks to a session.
/// @notice A session's owner submits tasks itself (`submit`) or through the routers on the session's list
///         (`relaySubmissions`). Each router numbers its tasks in its own lane, so a task's identity is fixed before
///         its submission is on chain.
abstract contract SessionTasks is SessionRouters, Batching, Pausable {
    uint256 public constant MAX_TEXT_BYTES = 16 * 1024;
    uint256 public constant MAX_REFERENCE_BYTES = 256;
    uint256 public constant MAX_PARAMETERS = 64;
    /// @dev The most tokens that a chat template may add to a prompt.
    uint256 public constant TEMPLATE_TOKENS = 64;

    SessionQueue public immutable queue;

    event TaskAssigned(uint256 sessionId, uint256 taskId, bytes32[] nodeIds);
    event TaskSubmitted(uint256 sessionId, uint256 taskId, string taskData, string clientReference);
    /// @dev Emitted for a task that has more than its packed terms. SessionPayment emits the terms and the digest with
    ///      the reservation (TaskReserved).
    event TaskDescribed(
        uint256 sessionId,
        uint256 taskId,
        uint256 promptType,
        string promptTemplate,
        uint256[] llmParams,
        uint256[] requestParams,
        uint256 maxInputTokens
    );

    error NotQueue(address account);
    error NotSelf(address account);
    error TaskLimitReached(uint256 sessionId, uint256 limit);
    error EmptyTaskData();
    /// @dev The task ran out of gas in the queue. The whole batch reverts. Otherwise, its sender could make a valid
    ///      element fail with too little gas.
    error ElementOutOfGas(uint256 index);
    error MaxTokensMissing();
    error OutsideLane(uint256 taskId, uint256 first);

    constructor(SessionQueue queue_) {
        queue = queue_;
    }

    /// @notice Submits a task with the session's next running number. Only the session's owner may call it.
    /// @dev `nodeType` is part of the published interface, but unused: the session's mode determines the kind of node.
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
        nodeType; // unused, but named for callers that use named arguments
        Submission memory submission =
            _submission(sessionId, taskData, promptType, promptTemplate, llmParams, requestParams);
        submission.clientReference = clientReference;
        _submitDirect(submission);
    }

    /// @notice The earlier published form of `submit`. The task has the default timeout.
    function submit(
        uint256 sessionId,
        uint256 nodeType,
        string calldata taskData,
        uint256 promptType,
        string calldata promptTemplate,
        uint256[] calldata llmParams,
        string calldata clientReference
    ) external onlyOwner(sessionId) whenNotPaused {
        nodeType;
        Submission memory submission =
            _submission(sessionId, taskData, promptType, promptTemplate, llmParams, llmParams[:0]);
        submission.clientReference = clientReference;
        _submitDirect(submission);
    }

    /// @inheritdoc ISession
    /// @dev SessionQueue.enqueueTask, the published function, calls this one.
    function submitByModule(
        uint256 sessionId,
        string calldata taskData,
        uint256 promptType,
        string calldata promptTemplate,
        uint256[] calldata llmParams,
        uint256[] calldata requestParams
    ) external onlyModule whenNotPaused returns (uint256 taskId) {
        return _submitDirect(
            _submission(sessionId, taskData, promptType, promptTemplate, llmParams, requestParams)
        );
    }

    /// @notice Takes a direct submission. Only this contract may call it.
    /// @dev With this call, the submission is in calldata, so direct and relayed submissions share their code.
    function takeOwn(Submission calldata submission) external {
        if (msg.sender != address(this)) revert NotSelf(msg.sender);
        _orRevert(_take(0, submission));
    }

    /// @notice Submits tasks in the sender's lanes (see getRouterIndex). Invalid elements are skipped.
    /// @dev The gas cost is lowest if the elements of one session are adjacent.
    function relaySubmissions(Submission[] calldata items) external whenNotPaused {
        (uint256 sessionId, uint256 first) = (0, 0);
        uint256 begin = _memory();
        for (uint256 i; i < items.length; ++i) {
            Submission calldata s = items[i];
            if (s.sessionId != sessionId) (sessionId, first) = (s.sessionId, _laneOf(s.sessionId, msg.sender));
            _report("submit", i, _relay(i, s, first));
            _free(begin);
        }
    }

    /// @notice The digest of everything that a task specifies. Every signed message about the task contains it.
    function digestOf(Submission calldata s) external view returns (bytes32) {
        (bytes memory refusal, uint256 terms) =
            TaskTerms.pack(s.promptType, s.llmParams, s.requestParams, s.maxInputTokens);
        _orRevert(refusal);
        (, bytes32 content) = TaskTerms.contentOf(s.taskData);
        bytes32 rest = TaskTerms.restOf(s.promptTemplate, s.clientReference, s.llmParams, s.requestParams);
        return TaskTerms.digestOf(_session(s.sessionId).sid, s.taskId, content, terms, rest);
    }

    /// @inheritdoc ISession
    /// @dev The queue has made all other checks before. It changes nothing unless all nodes are accepted.
    function admitAssignment(uint256 sessionId, uint256 taskId, bytes32[] calldata nodeIds)
        external
        returns (uint256 accepted)
    {
        if (msg.sender != address(queue)) revert NotQueue(msg.sender);
        accepted = _isDedicated(sessionId) ? _ownAmong(sessionId, nodeIds) : nodeIds.length;
        if (accepted == nodeIds.length) emit TaskAssigned(sessionId, taskId, nodeIds);
    }

    // ---------------------------------------------------------------- inside

    function _submission(
        uint256 sessionId,
        string calldata taskData,
        uint256 promptType,
        string calldata promptTemplate,
        uint256[] calldata llmParams,
        uint256[] calldata requestParams
    ) private pure returns (Submission memory submission) {
        submission.sessionId = sessionId;
        submission.taskData = taskData;
        submission.promptType = promptType;
        submission.promptTemplate = promptTemplate;
        submission.llmParams = llmParams;
        submission.requestParams = requestParams;
    }

    /// @dev Submits a task with the session's next running number.
    function _submitDirect(Submission memory s) private returns (uint256 taskId) {
        taskId = _session(s.sessionId).directTasks++;
        s.taskId = taskId;
        // The tokens are not counted yet. A token has at least one byte, so the bytes are an upper bound.
        s.maxInputTokens = bytes(s.taskData).length + bytes(s.promptTemplate).length + TEMPLATE_TOKENS;
        this.takeOwn(s);
    }

    /// @dev Submits one element of relaySubmissions.
    /// @param first the first number of the sender's lane; 0 if it has none
    function _relay(uint256 i, Submission calldata s, uint256 first) private returns (bytes memory) {
        if (first == 0) return abi.encodeWithSelector(NotRouter.selector, s.sessionId, msg.sender);
        if (s.taskId < first || s.taskId >= first + LANE_SIZE) {
            return abi.encodeWithSelector(OutsideLane.selector, s.taskId, first);
        }
        return _take(i, s);
    }

    /// @param i the element's index in its batch
    /// @return refusal the error if the session, the queue or the escrow refuses the task
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
            // All reverts of this project contain data, so one without data means that the gas ran out.
            if (reason.length == 0) revert ElementOutOfGas(i);
            return reason;
        }
        ++record.tasks;
        emit TaskSubmitted(s.sessionId, s.taskId, taskData, s.clientReference);
        if (task.rest != 0) _describeTask(s);
    }

    /// @dev Checks the values and packs them. The queue relies on the ranges that are checked here.
    function _termsOf(Submission calldata s, uint256 dataBytes)
        private
        pure
        returns (bytes memory refusal, uint256 terms, bytes32 rest)
    {
        string calldata promptTemplate = s.promptTemplate;
        string calldata clientReference = s.clientReference;
        uint256[] calldata llmParams = s.llmParams;
        uint256[] calldata requestParams = s.requestParams;
        // These checks come in addition to those of TaskTerms, which only checks that values fit into the terms.
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

    function _outOfRange(bytes32 field, uint256 value, uint256 most) private pure returns (bytes memory) {
        return abi.encodeWithSelector(TaskTerms.OutOfRange.selector, field, value, most);
    }
}
