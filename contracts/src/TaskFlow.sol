// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {ContentAddress} from "./ContentAddress.sol";
import {ISession} from "./ISession.sol";
import {NodePool} from "./NodePool.sol";
import {SessionPayment} from "./SessionPayment.sol";
import {TaskLedger} from "./TaskLedger.sol";
import {Submission, TaskStatus, Verdict} from "./TaskTypes.sol";

/// @title The steps of a task's life: what each needs, what it changes, whom it pays.
/// @notice Every stage has a deadline. Nothing is accepted after it, and nothing can be forced before it has
///         passed. Who may take which step is decided by SessionQueue.
/// @dev Calls go out to the project's own contracts only (NodePool, SessionPayment, Session), none of which
///      calls back; no tokens move here.
abstract contract TaskFlow is TaskLedger {
    using SafeCast for uint256;

    uint256 public constant MIN_TIMEOUT = 5;
    uint256 public constant MAX_TIMEOUT = 3600;
    uint256 public constant DEFAULT_TIMEOUT = 60;
    uint256 public constant MAX_DATA_BYTES = 16 * 1024;
    uint256 private constant BPS = 10_000;
    /// @dev What a result that comes at the very end of its time is still worth.
    uint256 private constant LATEST_TIMELINESS_BPS = 8_000;

    SessionPayment public immutable payment;
    NodePool public immutable pool;

    ISession public session;
    uint48 private _latestGlobalId;

    /// @dev A miner that was replaced never returns to the task, or its lateness could be undone.
    mapping(bytes32 taskDigest => mapping(address miner => bool)) private _replaced;

    event TaskQueued(uint256 sessionId, uint256 taskId, uint256 globalId, string taskData);
    event TaskAssigned(uint256 sessionId, uint256 taskId, address[] miners);
    event TaskMinerReplaced(uint256 indexed sessionId, uint256 indexed taskId, address late, address replacement);
    event TaskAcked(uint256 sessionId, uint256 taskId, address miner);
    event TaskPrecommitted(uint256 sessionId, uint256 taskId, address miner);
    event TaskAllPrecommitted(uint256 sessionId, uint256 taskId, address[] miners);
    event TaskPrecommitEnded(uint256 sessionId, uint256 taskId);
    event TaskCommitted(uint256 sessionId, uint256 taskId, address miner);
    event TaskAllCommitted(uint256 sessionId, uint256 taskId, address[] miners);
    event TaskCommitEnded(uint256 sessionId, uint256 taskId);
    event TaskVerdict(
        uint256 indexed sessionId,
        uint256 indexed taskId,
        address indexed miner,
        address validator,
        uint256 accuracyBps,
        uint256 inputTokens,
        uint256 outputTokens
    );
    event TaskEnded(uint256 sessionId, uint256 taskId, address[] miners);

    // A refusal names what its caller does not know already; which task it was about, the caller knows.

    /// @dev The effect is there already; whoever relayed it has nothing left to do.
    error AlreadyDone();
    error AlreadyEnded();
    /// @dev The phase that has to be over first is not.
    error PhaseOpen();
    error PhaseOver();
    error TooEarly(uint256 time, uint256 deadline);
    error TooLate(uint256 time, uint256 deadline);
    error TaskIdTaken();
    error WrongStatus(TaskStatus status);
    error WrongModel(uint256 given, uint256 expected);
    error WrongNumberOfMiners(uint256 given, uint256 most);
    error DuplicateMiner(address miner);
    error NotEligible(address miner);
    error NotAssigned(address miner);
    /// @dev The miner's part has not come as far as the step needs.
    error PartNotReady(TaskStatus state);
    error WrongDigest(bytes32 given, bytes32 expected);
    error HashFixed(bytes32 given, bytes32 expected);
    error HashMismatch(bytes32 given, bytes32 expected);
    error ZeroHash();
    error EmptyData();
    error DataTooLong(uint256 length, uint256 most);
    error VerdictTooLarge(uint256 value, uint256 most);

    constructor(SessionPayment payment_, NodePool pool_) {
        payment = payment_;
        pool = pool_;
    }

    // ---------------------------------------------------------------- transitions

    function _enqueue(Submission calldata submission, bytes32 digest, uint256 redundancy, uint256 modelIdentifier)
        internal
    {
        (uint256 sessionId, uint256 taskId) = (submission.sessionId, submission.taskId);
        Task storage task = _slot(sessionId, taskId);
        if (task.createdAt != 0) {
            if (task.digest == digest) revert AlreadyDone();
            revert TaskIdTaken();
        }
        task.digest = digest;
        task.redundancy = uint8(redundancy);
        task.createdAt = uint32(block.timestamp);
        task.timeout = _timeoutOf(submission.requestParams);
        task.globalId = ++_latestGlobalId;
        _taskIds[sessionId].push(uint64(taskId));
        _writeTexts(task, submission);
        _writeDecoration(task, submission);
        emit TaskQueued(sessionId, taskId, task.globalId, submission.taskData);

        (uint256 inputPrice, uint256 outputPrice) = payment.modelPrice(modelIdentifier);
        // The escrow keeps prices as uint128.
        task.inputPriceWei = uint128(inputPrice);
        task.outputPriceWei = uint128(outputPrice);
        uint256 worstCase = task.maxInputTokens * inputPrice + task.maxTokens * outputPrice;
        payment.reserve(sessionId, taskId, redundancy * worstCase);
    }

    function _assign(uint256 sessionId, uint256 taskId, address[] calldata miners, uint256 modelIdentifier) internal {
        Task storage task = _task(sessionId, taskId);
        if (task.status != TaskStatus.Queued) revert WrongStatus(task.status);
        _requireNotAfter(_queueDeadline(task));
        if (miners.length == 0 || miners.length > task.redundancy) {
            revert WrongNumberOfMiners(miners.length, task.redundancy);
        }
        uint256 expected = session.modelOf(sessionId);
        if (modelIdentifier != expected) revert WrongModel(modelIdentifier, expected);

        task.status = TaskStatus.Assigned;
        task.assignedAfter = _since(task.createdAt);
        for (uint256 i; i < miners.length; ++i) {
            (bool found,,) = _find(task, miners[i]);
            if (found) revert DuplicateMiner(miners[i]);
            _place(task, i, miners[i]);
            task.miners = uint8(i + 1);
        }
        emit TaskAssigned(sessionId, taskId, miners);
    }

    function _replace(uint256 sessionId, uint256 taskId, address late, address replacement) internal {
        Task storage task = _task(sessionId, taskId);
        if (_replaced[task.digest][late]) revert AlreadyDone();
        (Part storage part, uint256 index) = _partOf(task, late);
        if (task.status >= TaskStatus.Precommitted) revert PhaseOver();
        _requireNotAfter(_precommitDeadline(task));
        if (part.state >= TaskStatus.Precommitted) revert AlreadyDone();
        uint256 assignedAt = uint256(task.createdAt) + part.assignedAfter;
        uint256 lease = uint256(task.timeout) / 2;
        if (part.state == TaskStatus.Assigned && ACK_WINDOW < lease) lease = ACK_WINDOW;
        _requireAfter(assignedAt + lease);

        (bool found,,) = _find(task, replacement);
        if (found || _replaced[task.digest][replacement]) revert DuplicateMiner(replacement);
        _replaced[task.digest][late] = true;
        _place(task, index, replacement);
        emit TaskMinerReplaced(sessionId, taskId, late, replacement);
        pool.recordOutcome(late, false);
    }

    /// @dev Gives a part to a miner that has done nothing for it yet.
    function _place(Task storage task, uint256 index, address miner) private {
        if (!pool.isEligible(miner)) revert NotEligible(miner);
        Part storage part = task.parts[index];
        part.miner = miner;
        part.state = TaskStatus.Assigned;
        part.assignedAfter = _since(task.createdAt);
        part.ackedAfter = 0;
    }

    function _ack(uint256 sessionId, uint256 taskId, address miner) internal {
        Task storage task = _task(sessionId, taskId);
        (Part storage part,) = _partOf(task, miner);
        if (part.state >= TaskStatus.Acked) revert AlreadyDone();
        _requirePrecommitOpen(task);
        _markAcked(sessionId, taskId, task, part);
    }

    function _precommit(uint256 sessionId, uint256 taskId, address miner, bytes32 hash) internal {
        Task storage task = _task(sessionId, taskId);
        (Part storage part,) = _partOf(task, miner);
        if (hash == 0) revert ZeroHash();
        if (part.state == TaskStatus.Precommitted && part.hash != hash) revert HashFixed(hash, part.hash);
        if (part.state >= TaskStatus.Precommitted) revert AlreadyDone();
        _requirePrecommitOpen(task);

        if (part.state == TaskStatus.Assigned) _markAcked(sessionId, taskId, task, part);
        part.state = TaskStatus.Precommitted;
        part.precommittedAfter = _since(task.createdAt);
        part.hash = hash;
        uint8 precommitted = ++task.precommitted;
        emit TaskPrecommitted(sessionId, taskId, miner);
        if (precommitted == task.miners) _closePrecommit(sessionId, taskId, task, true);
    }

    function _commit(uint256 sessionId, uint256 taskId, address miner, string calldata data) internal {
        Task storage task = _task(sessionId, taskId);
        (Part storage part, uint256 index) = _partOf(task, miner);
        if (part.state >= TaskStatus.Committed) revert AlreadyDone();
        if (task.status < TaskStatus.Precommitted) revert PhaseOpen();
        if (task.status > TaskStatus.Precommitted) revert PhaseOver();
        if (part.state < TaskStatus.Precommitted) revert PartNotReady(part.state);
        _requireNotAfter(_commitDeadline(task));
        if (bytes(data).length == 0) revert EmptyData();
        if (bytes(data).length > MAX_DATA_BYTES) revert DataTooLong(bytes(data).length, MAX_DATA_BYTES);
        bytes32 hash = commitHash(sessionId, taskId, miner, data);
        if (hash != part.hash) revert HashMismatch(hash, part.hash);

        part.state = TaskStatus.Committed;
        part.committedAfter = _since(task.precommitEndedAt);
        (bool packed, bytes32 contentDigest) = ContentAddress.pack(data);
        if (packed) part.hash = contentDigest;
        else task.resultTexts[index] = data;
        uint8 committed = ++task.committed;
        emit TaskCommitted(sessionId, taskId, miner);
        if (committed == task.precommitted) _closeCommit(sessionId, taskId, task, true);
    }

    function _verdict(Verdict calldata item, address validator) internal {
        (uint256 sessionId, uint256 taskId, address miner) = (item.sessionId, item.taskId, item.miner);
        Task storage task = _task(sessionId, taskId);
        (Part storage part,) = _partOf(task, miner);
        if (part.state == TaskStatus.Ended) revert AlreadyDone();
        if (task.status == TaskStatus.Ended) revert AlreadyEnded();
        if (task.status < TaskStatus.Committed) revert PhaseOpen();
        if (part.state < TaskStatus.Committed) revert PartNotReady(part.state);
        _requireAtMost(item.accuracyBps, BPS);
        _requireAtMost(item.inputTokens, task.maxInputTokens);
        _requireAtMost(item.outputTokens, task.maxTokens);

        part.state = TaskStatus.Ended;
        uint8 judged = ++task.judged;
        emit TaskVerdict(
            sessionId, taskId, miner, validator, item.accuracyBps, item.inputTokens, item.outputTokens
        );
        uint256 amount = _payOf(task, part, item);
        if (amount != 0) payment.pay(sessionId, taskId, miner, amount);
        pool.recordOutcome(miner, item.accuracyBps != 0);
        if (judged == task.committed) _finish(sessionId, taskId, task);
    }

    function _endPrecommit(uint256 sessionId, uint256 taskId, bool emitAll) internal {
        Task storage task = _task(sessionId, taskId);
        if (task.status >= TaskStatus.Precommitted) revert PhaseOver();
        if (task.status == TaskStatus.Queued) revert WrongStatus(task.status);
        _requireAfter(_precommitDeadline(task));
        _closePrecommit(sessionId, taskId, task, emitAll);
    }

    function _endCommit(uint256 sessionId, uint256 taskId, bool emitAll) internal {
        Task storage task = _task(sessionId, taskId);
        if (task.status >= TaskStatus.Committed) revert PhaseOver();
        if (task.status < TaskStatus.Precommitted) revert PhaseOpen();
        _requireAfter(_commitDeadline(task));
        _closeCommit(sessionId, taskId, task, emitAll);
    }

    function _end(uint256 sessionId, uint256 taskId, bool forceEnd) internal {
        Task storage task = _task(sessionId, taskId);
        if (task.status == TaskStatus.Ended) revert AlreadyEnded();
        if (!forceEnd) revert WrongStatus(task.status);
        if (task.status == TaskStatus.Queued) {
            _requireAfter(_queueDeadline(task));
            _finish(sessionId, taskId, task);
        } else if (task.status < TaskStatus.Precommitted) {
            if (task.precommitted != 0) revert PhaseOpen();
            _endPrecommit(sessionId, taskId, false);
        } else if (task.status == TaskStatus.Precommitted) {
            if (task.committed != 0) revert PhaseOpen();
            _endCommit(sessionId, taskId, false);
        } else {
            _requireAfter(_verdictDeadline(task));
            _finish(sessionId, taskId, task);
        }
    }

    function _markAcked(uint256 sessionId, uint256 taskId, Task storage task, Part storage part) private {
        part.state = TaskStatus.Acked;
        part.ackedAfter = _since(task.createdAt);
        if (task.status == TaskStatus.Assigned) task.status = TaskStatus.Acked;
        emit TaskAcked(sessionId, taskId, part.miner);
    }

    function _closePrecommit(uint256 sessionId, uint256 taskId, Task storage task, bool emitAll) private {
        task.status = TaskStatus.Precommitted;
        task.precommitEndedAt = uint32(block.timestamp);
        if (emitAll) emit TaskAllPrecommitted(sessionId, taskId, _minersFrom(task, TaskStatus.Precommitted));
        emit TaskPrecommitEnded(sessionId, taskId);
        if (task.precommitted != task.miners) _recordFailures(task, TaskStatus.Assigned, TaskStatus.Precommitted);
        if (task.precommitted == 0) _finish(sessionId, taskId, task);
    }

    function _closeCommit(uint256 sessionId, uint256 taskId, Task storage task, bool emitAll) private {
        task.status = TaskStatus.Committed;
        task.commitEndedAt = uint32(block.timestamp);
        if (emitAll) emit TaskAllCommitted(sessionId, taskId, _minersFrom(task, TaskStatus.Committed));
        emit TaskCommitEnded(sessionId, taskId);
        if (task.committed != task.precommitted) {
            _recordFailures(task, TaskStatus.Precommitted, TaskStatus.Committed);
        }
        if (task.committed == 0) _finish(sessionId, taskId, task);
    }

    /// @dev Tells the pool of the miners whose part came as far as `reached` and not as far as `missed`.
    function _recordFailures(Task storage task, TaskStatus reached, TaskStatus missed) private {
        for (uint256 i; i < task.miners; ++i) {
            TaskStatus state = task.parts[i].state;
            if (state >= reached && state < missed) pool.recordOutcome(task.parts[i].miner, false);
        }
    }

    function _finish(uint256 sessionId, uint256 taskId, Task storage task) private {
        task.status = TaskStatus.Ended;
        task.endedAt = uint32(block.timestamp);
        payment.settle(sessionId, taskId);
        emit TaskEnded(sessionId, taskId, _minersFrom(task, TaskStatus.Committed));
    }

    /// @dev floor(price of the tokens × accuracy × timeliness): rounding favours the escrow.
    function _payOf(Task storage task, Part storage part, Verdict calldata item) private view returns (uint256) {
        uint256 price = item.inputTokens * task.inputPriceWei + item.outputTokens * task.outputPriceWei;
        return price * item.accuracyBps * _timelinessBps(task, part) / (BPS * BPS);
    }

    /// @dev Full marks up to half of the lease; then falling in a straight line to LATEST_TIMELINESS_BPS at the
    ///      precommit deadline. The loss is rounded up.
    function _timelinessBps(Task storage task, Part storage part) private view returns (uint256) {
        uint256 from = uint256(part.assignedAfter) + task.timeout / 4;
        uint256 done = part.precommittedAfter;
        if (done <= from) return BPS;
        // No precommit is later than `until`, so `until` is above `from` here.
        uint256 until = uint256(task.assignedAfter) + task.timeout;
        uint256 loss = (BPS - LATEST_TIMELINESS_BPS) * (done - from);
        return BPS - (loss + (until - from) - 1) / (until - from);
    }

    // ---------------------------------------------------------------- writing a task

    function _writeTexts(Task storage task, Submission calldata submission) private {
        (bool packed, bytes32 contentDigest) = ContentAddress.pack(submission.taskData);
        if (packed) task.contentDigest = contentDigest;
        else task.text = submission.taskData;
        if (bytes(submission.promptTemplate).length != 0) task.promptTemplate = submission.promptTemplate;
    }

    /// @dev The casts lose nothing: Session has checked the ranges.
    function _writeDecoration(Task storage task, Submission calldata submission) private {
        uint256[] calldata params = submission.llmParams;
        task.promptType = uint16(submission.promptType);
        task.maxInputTokens = uint32(submission.maxInputTokens);
        task.maxTokens = _parameter(params, 0);
        task.temperature = _parameter(params, 1);
        task.topP = _parameter(params, 2);
        task.topK = _parameter(params, 3);
        task.presencePenalty = _parameter(params, 4);
        task.frequencyPenalty = _parameter(params, 5);
    }

    /// @dev A list that is too short says 0 for the rest.
    function _parameter(uint256[] calldata params, uint256 index) private pure returns (uint32) {
        return index < params.length ? uint32(params[index]) : 0;
    }

    function _timeoutOf(uint256[] calldata requestParams) private pure returns (uint16) {
        uint256 timeout = requestParams.length == 0 ? 0 : requestParams[0];
        if (timeout == 0) return uint16(DEFAULT_TIMEOUT);
        if (timeout < MIN_TIMEOUT) return uint16(MIN_TIMEOUT);
        if (timeout > MAX_TIMEOUT) return uint16(MAX_TIMEOUT);
        return uint16(timeout);
    }

    // ---------------------------------------------------------------- checks

    function _partOf(Task storage task, address miner) private view returns (Part storage, uint256) {
        (bool found, Part storage part, uint256 index) = _find(task, miner);
        if (!found) revert NotAssigned(miner);
        return (part, index);
    }

    function _requireDigest(Task storage task, bytes32 given) internal view {
        if (task.digest != given) revert WrongDigest(given, task.digest);
    }

    function _requirePrecommitOpen(Task storage task) private view {
        if (task.status >= TaskStatus.Precommitted) revert PhaseOver();
        _requireNotAfter(_precommitDeadline(task));
    }

    function _requireNotAfter(uint256 deadline) private view {
        if (block.timestamp > deadline) revert TooLate(block.timestamp, deadline);
    }

    function _requireAfter(uint256 deadline) private view {
        if (block.timestamp <= deadline) revert TooEarly(block.timestamp, deadline);
    }

    function _requireAtMost(uint256 value, uint256 most) private pure {
        if (value > most) revert VerdictTooLarge(value, most);
    }

    /// @dev Checked, and never out of range as long as the deadlines hold (see Part).
    function _since(uint256 start) private view returns (uint16) {
        return (block.timestamp - start).toUint16();
    }
}
