// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Batching} from "./Batching.sol";
import {ContentAddress} from "./ContentAddress.sol";
import {ISession} from "./ISession.sol";
import {NodePool} from "./NodePool.sol";
import {RoleGuarded, RoleIds, Roles} from "./Roles.sol";
import {SessionPayment} from "./SessionPayment.sol";
import {TaskLedger} from "./TaskLedger.sol";
import {TaskMessages} from "./TaskMessages.sol";
import {
    Ack, Assignment, Commit, Precommit, Replacement, Submission, TaskRef, TaskStatus, Verdict
} from "./TaskTypes.sol";

/// @title The life of a task, from the queue to the settlement.
/// @notice Miners act by their own transactions (`ack`, `precommit`, `commit`) or by signatures that anyone
///         relays, alone (`relayAck`, …) or in batches (`relayAcks`, …). Every stage has a deadline. Nothing
///         is accepted after it, and once it has passed anyone may force the task on.
/// @dev Calls go out to the project's own contracts only (NodePool, SessionPayment, Session, Roles), none of
///      which calls back; no tokens move here.
contract SessionQueue is TaskLedger, Batching, RoleGuarded, EIP712 {
    using SafeCast for uint256;
    using TaskMessages for Ack;
    using TaskMessages for Precommit;
    using TaskMessages for Commit;
    using TaskMessages for Verdict;

    uint256 public constant MIN_TIMEOUT = 5;
    uint256 public constant MAX_TIMEOUT = 3600;
    uint256 public constant DEFAULT_TIMEOUT = 60;
    uint256 public constant MAX_DATA_BYTES = 16 * 1024;
    uint256 public constant BPS = 10_000;
    /// @dev What a result that comes at the very end of its time is still worth.
    uint256 public constant LATEST_TIMELINESS_BPS = 8_000;

    SessionPayment public immutable payment;
    NodePool public immutable pool;

    ISession public session;
    uint48 public latestGlobalId;

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
    event SessionContractSet(address session);

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
    error WrongSigner(address expected, address recovered);
    error WrongDigest(bytes32 given, bytes32 expected);
    error HashFixed(bytes32 given, bytes32 expected);
    error HashMismatch(bytes32 given, bytes32 expected);
    error ZeroHash();
    error EmptyData();
    error DataTooLong(uint256 length, uint256 most);
    error VerdictTooLarge(uint256 value, uint256 most);
    error SessionAlreadySet(address session);

    constructor(Roles roles_, SessionPayment payment_, NodePool pool_) RoleGuarded(roles_) EIP712("Cortensor", "1") {
        payment = payment_;
        pool = pool_;
    }

    /// @notice Tells the queue where sessions live: once, after deployment.
    function setSession(ISession session_) external onlyRole(RoleIds.ADMIN) {
        if (address(session) != address(0)) revert SessionAlreadySet(address(session));
        session = session_;
        emit SessionContractSet(address(session_));
    }

    // ---------------------------------------------------------------- submission

    /// @notice Takes in a task and reserves its worst case. Session, which alone calls it, has checked the
    ///         submission (see Session._check).
    function enqueue(Submission calldata submission, bytes32 digest, uint256 redundancy, uint256 modelIdentifier)
        external
        onlyRole(RoleIds.MODULE)
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
        task.globalId = ++latestGlobalId;
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

    // ---------------------------------------------------------------- assignment

    /// @notice Puts miners on a queued task: at most its redundancy. For routers and oracles.
    function assignTask(uint256 sessionId, uint256 taskId, address[] calldata addrs, uint256 modelIdentifier)
        external
    {
        if (msg.sender != address(this)) _requireAssigner();
        _assign(sessionId, taskId, addrs, modelIdentifier);
    }

    function assignTasks(Assignment[] calldata items) external {
        _requireAssigner();
        for (uint256 i; i < items.length; ++i) {
            Assignment calldata a = items[i];
            _attempt(
                "assign", i, abi.encodeCall(this.assignTask, (a.sessionId, a.taskId, a.miners, a.modelIdentifier))
            );
        }
    }

    /// @notice Gives a late miner's place to another: late with its ack, or with its result. For oracles.
    function replaceMiner(uint256 sessionId, uint256 taskId, address late, address replacement) external {
        if (msg.sender != address(this)) _requireRole(RoleIds.ORACLE);
        _replace(sessionId, taskId, late, replacement);
    }

    function replaceMiners(Replacement[] calldata items) external onlyRole(RoleIds.ORACLE) {
        for (uint256 i; i < items.length; ++i) {
            Replacement calldata r = items[i];
            _attempt(
                "replace", i, abi.encodeCall(this.replaceMiner, (r.sessionId, r.taskId, r.late, r.replacement))
            );
        }
    }

    // ---------------------------------------------------------------- ack

    function ack(uint256 sessionId, uint256 taskId) external {
        _ack(sessionId, taskId, msg.sender);
    }

    function relayAck(Ack calldata item, bytes calldata signature) external {
        _requireSigned(item.sessionId, item.taskId, item.taskDigest, item.miner, item.structHash(), signature);
        _ack(item.sessionId, item.taskId, item.miner);
    }

    function relayAcks(Ack[] calldata items, bytes[] calldata signatures) external {
        _requireSameLength(items.length, signatures.length);
        for (uint256 i; i < items.length; ++i) {
            _attempt("ack", i, abi.encodeCall(this.relayAck, (items[i], signatures[i])));
        }
    }

    // ---------------------------------------------------------------- precommit

    /// @notice Fixes the sender's result by its hash (see commitHash). Implies the ack.
    /// @dev `data` belongs to the published interface; a result must stay unknown until the phase is over, so
    ///      the parameter is not used.
    function precommit(uint256 sessionId, uint256 taskId, bytes32 hash, string calldata data) external {
        data; // named for callers that pass by name
        _precommit(sessionId, taskId, msg.sender, hash);
    }

    function relayPrecommit(Precommit calldata item, bytes calldata signature) external {
        _requireSigned(item.sessionId, item.taskId, item.taskDigest, item.miner, item.structHash(), signature);
        _precommit(item.sessionId, item.taskId, item.miner, item.hash);
    }

    function relayPrecommits(Precommit[] calldata items, bytes[] calldata signatures) external {
        _requireSameLength(items.length, signatures.length);
        for (uint256 i; i < items.length; ++i) {
            _attempt("precommit", i, abi.encodeCall(this.relayPrecommit, (items[i], signatures[i])));
        }
    }

    /// @notice Ends the precommit phase after its deadline; who has not precommitted is out. When nobody has,
    ///         the task ends and its money returns to the session.
    /// @param emitAllPrecommitted whether to emit TaskAllPrecommitted with those who have
    function endPrecommit(uint256 sessionId, uint256 taskId, bool emitAllPrecommitted) public {
        Task storage task = _task(sessionId, taskId);
        if (task.status >= TaskStatus.Precommitted) revert PhaseOver();
        if (task.status == TaskStatus.Queued) revert WrongStatus(task.status);
        _requireAfter(_precommitDeadline(task));
        _closePrecommit(sessionId, taskId, task, emitAllPrecommitted);
    }

    function endPrecommits(TaskRef[] calldata items) external {
        _attemptEach("end_precommit", this.endPrecommit.selector, items, false);
    }

    // ---------------------------------------------------------------- commit

    /// @notice Reveals the sender's result, once the precommit phase is over.
    function commit(uint256 sessionId, uint256 taskId, string calldata data) external {
        _commit(sessionId, taskId, msg.sender, data);
    }

    function relayCommit(Commit calldata item, bytes calldata signature) external {
        _requireSigned(item.sessionId, item.taskId, item.taskDigest, item.miner, item.structHash(), signature);
        _commit(item.sessionId, item.taskId, item.miner, item.data);
    }

    function relayCommits(Commit[] calldata items, bytes[] calldata signatures) external {
        _requireSameLength(items.length, signatures.length);
        for (uint256 i; i < items.length; ++i) {
            _attempt("commit", i, abi.encodeCall(this.relayCommit, (items[i], signatures[i])));
        }
    }

    /// @notice Ends the commit phase after its deadline. When nobody has revealed, the task ends and its money
    ///         returns to the session.
    /// @param emitAllCommitted whether to emit TaskAllCommitted with those who have revealed
    /// @return always true: what cannot be ended reverts
    function endCommit(uint256 sessionId, uint256 taskId, bool emitAllCommitted) public returns (bool) {
        Task storage task = _task(sessionId, taskId);
        if (task.status >= TaskStatus.Committed) revert PhaseOver();
        if (task.status < TaskStatus.Precommitted) revert PhaseOpen();
        _requireAfter(_commitDeadline(task));
        _closeCommit(sessionId, taskId, task, emitAllCommitted);
        return true;
    }

    function endCommits(TaskRef[] calldata items) external {
        _attemptEach("end_commit", this.endCommit.selector, items, false);
    }

    // ---------------------------------------------------------------- verdict and end

    /// @notice Judges one miner's result. For validators; the first verdict on a miner counts.
    function verdict(Verdict calldata item) external onlyRole(RoleIds.VALIDATOR) {
        _requireDigest(_task(item.sessionId, item.taskId), item.taskDigest);
        _verdict(item, msg.sender);
    }

    function relayVerdict(Verdict calldata item, bytes calldata signature) external {
        _requireDigest(_task(item.sessionId, item.taskId), item.taskDigest);
        address validator = ECDSA.recoverCalldata(_hashTypedDataV4(item.structHash()), signature);
        if (!roles.hasRole(RoleIds.VALIDATOR, validator)) revert MissingRole(validator, RoleIds.VALIDATOR);
        _verdict(item, validator);
    }

    function relayVerdicts(Verdict[] calldata items, bytes[] calldata signatures) external {
        _requireSameLength(items.length, signatures.length);
        for (uint256 i; i < items.length; ++i) {
            _attempt("verdict", i, abi.encodeCall(this.relayVerdict, (items[i], signatures[i])));
        }
    }

    /// @notice Ends a task that cannot go on. With `forceEnd`, after the deadline of the stage that it is stuck
    ///         in: not assigned, nobody precommitted, nobody revealed, or not judged in time. Who has its
    ///         verdict has been paid; the rest returns to the session. Without, there is never anything to
    ///         do: a task ends by itself with its last verdict.
    function end(uint256 sessionId, uint256 taskId, bool forceEnd) external {
        Task storage task = _task(sessionId, taskId);
        if (task.status == TaskStatus.Ended) revert AlreadyEnded();
        if (!forceEnd) revert WrongStatus(task.status);
        if (task.status == TaskStatus.Queued) {
            _requireAfter(_queueDeadline(task));
            _finish(sessionId, taskId, task);
        } else if (task.status < TaskStatus.Precommitted) {
            if (task.precommitted != 0) revert PhaseOpen();
            endPrecommit(sessionId, taskId, false);
        } else if (task.status == TaskStatus.Precommitted) {
            if (task.committed != 0) revert PhaseOpen();
            endCommit(sessionId, taskId, false);
        } else {
            _requireAfter(_verdictDeadline(task));
            _finish(sessionId, taskId, task);
        }
    }

    /// @notice `end` by force, for many tasks.
    function endTasks(TaskRef[] calldata items) external {
        _attemptEach("end_task", this.end.selector, items, true);
    }

    // ---------------------------------------------------------------- views

    function isOracleNode(address addr) external view returns (bool) {
        return roles.hasRole(RoleIds.ORACLE, addr);
    }

    function isPrimaryModule(address addr) external view returns (bool) {
        return roles.hasRole(RoleIds.MODULE, addr);
    }

    // ---------------------------------------------------------------- transitions

    function _assign(uint256 sessionId, uint256 taskId, address[] calldata miners, uint256 modelIdentifier) private {
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

    function _replace(uint256 sessionId, uint256 taskId, address late, address replacement) private {
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

    function _ack(uint256 sessionId, uint256 taskId, address miner) private {
        Task storage task = _task(sessionId, taskId);
        (Part storage part,) = _partOf(task, miner);
        if (part.state >= TaskStatus.Acked) revert AlreadyDone();
        _requirePrecommitOpen(task);
        _markAcked(sessionId, taskId, task, part);
    }

    function _precommit(uint256 sessionId, uint256 taskId, address miner, bytes32 hash) private {
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

    function _commit(uint256 sessionId, uint256 taskId, address miner, string calldata data) private {
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

    function _verdict(Verdict calldata item, address validator) private {
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

    /// @dev The three ways to force a task on take the same parameters.
    function _attemptEach(bytes32 kind, bytes4 selector, TaskRef[] calldata items, bool flag) private {
        for (uint256 i; i < items.length; ++i) {
            _attempt(kind, i, abi.encodeWithSelector(selector, items[i].sessionId, items[i].taskId, flag));
        }
    }

    function _partOf(Task storage task, address miner) private view returns (Part storage, uint256) {
        (bool found, Part storage part, uint256 index) = _find(task, miner);
        if (!found) revert NotAssigned(miner);
        return (part, index);
    }

    function _requireSigned(
        uint256 sessionId,
        uint256 taskId,
        bytes32 taskDigest,
        address signer,
        bytes32 structHash,
        bytes calldata signature
    ) private view {
        _requireDigest(_task(sessionId, taskId), taskDigest);
        address recovered = ECDSA.recoverCalldata(_hashTypedDataV4(structHash), signature);
        if (recovered != signer) revert WrongSigner(signer, recovered);
    }

    function _requireDigest(Task storage task, bytes32 given) private view {
        if (task.digest != given) revert WrongDigest(given, task.digest);
    }

    function _requireAssigner() private view {
        if (!roles.hasRole(RoleIds.ORACLE, msg.sender)) _requireRole(RoleIds.ROUTER);
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

    function _requireSameLength(uint256 items, uint256 signatures) private pure {
        if (items != signatures) revert LengthsDiffer(items, signatures);
    }

    /// @dev Checked, and never out of range as long as the deadlines hold (see Part).
    function _since(uint256 start) private view returns (uint16) {
        return (block.timestamp - start).toUint16();
    }
}
