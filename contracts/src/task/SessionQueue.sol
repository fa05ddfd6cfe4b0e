// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {Batching} from "../common/Batching.sol";
import {Board} from "./Board.sol";
import {Companion} from "../common/Companion.sol";
import {ContentAddress} from "../common/ContentAddress.sol";
import {ISession} from "../session/ISession.sol";
import {NodePool} from "../node/NodePool.sol";
import {OverdueTasks} from "./OverdueTasks.sol";
import {RoleGuarded, RoleIds, Roles} from "../common/Roles.sol";
import {SessionPayment} from "../money/SessionPayment.sol";
import {TaskFlow} from "./TaskFlow.sol";
import {TaskMessages} from "./TaskMessages.sol";
import {TaskSteps} from "./TaskSteps.sol";
import {
    Assignment,
    NewTask,
    Reveal,
    SignedAck,
    SignedPrecommit,
    SignedVerdict,
    Verdict
} from "./TaskTypes.sol";

/// @title The entry points for a task, from the queue to the settlement. They check who may take which step.
/// @notice Miners act by their own transactions (`ack`, `precommit`, `commit`) or by signatures that anyone relays in
///         batches (`relayAcks`, …). Clients also call this contract for the functions of OverdueTasks: the views, and
///         the handling of late miners and stuck stages.
/// @dev Calls of functions that this contract does not have are delegated to OverdueTasks: together they would exceed
///      the size limit of a contract (EIP-170). TaskLedger and TaskFlow are the first bases of both, so they have the
///      same storage layout. The address of OverdueTasks is immutable.
contract SessionQueue is TaskSteps, Batching, RoleGuarded, EIP712, Companion {
    OverdueTasks public immutable overdue;

    error WrongSigner(address expected, address recovered);
    /// @dev No key can have made the signature.
    error MalformedSignature();
    /// @dev The batch has fewer plain texts than elements without a content address. Each such element needs one.
    error TextMissing(uint256 index);

    constructor(Roles roles_, SessionPayment payment_, NodePool pool_, OverdueTasks overdue_)
        TaskFlow(payment_, pool_)
        RoleGuarded(roles_)
        EIP712("Cortensor", "1")
    {
        overdue = overdue_;
    }

    // ---------------------------------------------------------------- submission

    /// @notice Queues a task and reserves its worst-case cost. Only Session may call it, and has checked the submission
    ///         (see SessionTasks._take).
    function enqueue(NewTask calldata task, string calldata taskData, string calldata promptTemplate)
        external
        onlyModule
    {
        _enqueue(task, taskData, promptTemplate);
    }

    /// @notice Submits a task at the session's expense. Only the network's other modules may call it. Checks, events
    ///         and numbers are the same as in Session.submit.
    /// @return the task's number
    function enqueueTask(
        uint256 sessionId,
        string calldata taskData,
        uint256 promptType,
        string calldata promptTemplate,
        uint256[] calldata llmParams,
        uint256[] calldata requestParams
    ) external onlyModule returns (uint256) {
        return payment.session().submitByModule(
            sessionId, taskData, promptType, promptTemplate, llmParams, requestParams
        );
    }

    // ---------------------------------------------------------------- assignment

    /// @notice Assigns miners to a queued task, at most as many as its redundancy. Callable by routers and oracles.
    function assignTask(uint256 sessionId, uint256 taskId, address[] calldata addrs, uint256 modelIdentifier)
        external
    {
        _requireAssigner();
        _orRevert(_assign(payment.session(), sessionId, taskId, addrs, modelIdentifier));
    }

    function assignTasks(Assignment[] calldata items) external {
        _requireAssigner();
        ISession session = payment.session();
        uint256 begin = _memory();
        for (uint256 i; i < items.length; ++i) {
            Assignment calldata a = items[i];
            _report("assign", i, _assign(session, a.sessionId, a.taskId, a.miners, a.modelIdentifier));
            _free(begin);
        }
    }

    // ---------------------------------------------------------------- ack

    /// @notice Records that the sender works on the task. A precommit implies it. A separate ack prevents an oracle
    ///         from replacing the miner before its lease is over.
    function ack(uint256 sessionId, uint256 taskId) external {
        Task storage task = _task(sessionId, taskId);
        Board board = task.board;
        bytes memory refusal;
        (refusal, board) =
            _ack(sessionId, taskId, task, board, _timeoutOf(sessionId, task, board), msg.sender);
        _orRevert(refusal);
        task.board = board;
    }

    function relayAcks(SignedAck[] calldata items) external {
        bytes32 domain = _domainSeparatorV4();
        for (uint256 i; i < items.length; ++i) {
            SignedAck calldata m = items[i];
            Task storage task = _slot(m.sessionId, m.taskId);
            Board board = task.board;
            bytes memory refusal;
            if (board.isEmpty()) {
                refusal = _notFound(m.sessionId, m.taskId);
            } else {
                bytes32 digest = _digestOf(m.sessionId, m.taskId, task, board);
                bytes32 hash = TaskMessages.ackHash(m.sessionId, m.taskId, digest, m.miner);
                refusal = _signatureRefusal(domain, hash, m.miner, m.r, m.vs);
            }
            if (refusal.length == 0) {
                uint256 timeout = _timeoutOf(m.sessionId, task, board);
                (refusal, board) = _ack(m.sessionId, m.taskId, task, board, timeout, m.miner);
                if (refusal.length == 0) task.board = board;
            }
            _report("ack", i, refusal);
        }
    }

    // ---------------------------------------------------------------- precommit

    /// @notice Fixes the sender's result by its hash (see TaskViews.commitHash). Implies the ack.
    /// @dev `data` is part of the published interface, but unused: a result must stay secret until the phase is over.
    function precommit(uint256 sessionId, uint256 taskId, bytes32 hash, string calldata data) external {
        data; // named for callers that use named arguments
        Task storage task = _task(sessionId, taskId);
        Board board = task.board;
        bytes memory refusal;
        (refusal, board) =
            _precommit(sessionId, taskId, task, board, _timeoutOf(sessionId, task, board), msg.sender, hash);
        _orRevert(refusal);
        task.board = board;
    }

    /// @dev The gas cost is lowest if the elements of one task are adjacent.
    function relayPrecommits(SignedPrecommit[] calldata items) external {
        bytes32 domain = _domainSeparatorV4();
        Task storage task = _slot(0, 0);
        (uint256 sessionId, uint256 taskId, uint256 timeout) = (0, 0, 0);
        Board board;
        bytes32 digest;
        uint256 begin = _memory();
        for (uint256 i; i < items.length; ++i) {
            SignedPrecommit calldata m = items[i];
            if (i == 0 || m.taskId != taskId || m.sessionId != sessionId) {
                if (!board.isEmpty()) task.board = board;
                (sessionId, taskId) = (m.sessionId, m.taskId);
                task = _slot(sessionId, taskId);
                board = task.board;
                if (!board.isEmpty()) {
                    uint256 plan = _planOf(sessionId, task, board);
                    digest = _digestOf(sessionId, taskId, task, board, plan);
                    timeout = _timeoutIn(plan);
                }
            }
            bytes memory refusal;
            if (board.isEmpty()) {
                refusal = _notFound(sessionId, taskId);
            } else {
                bytes32 hash = TaskMessages.precommitHash(sessionId, taskId, digest, m.miner, m.hash);
                refusal = _signatureRefusal(domain, hash, m.miner, m.r, m.vs);
            }
            if (refusal.length == 0) {
                (refusal, board) = _precommit(sessionId, taskId, task, board, timeout, m.miner, m.hash);
            }
            _report("precommit", i, refusal);
            _free(begin);
        }
        if (!board.isEmpty()) task.board = board;
    }

    // ---------------------------------------------------------------- commit

    /// @notice Reveals the sender's result, once the precommit phase is over.
    function commit(uint256 sessionId, uint256 taskId, string calldata data) external {
        (, bytes32 content) = ContentAddress.pack(data);
        Task storage task = _task(sessionId, taskId);
        (bytes memory refusal, Board board) =
            _commit(sessionId, taskId, task, task.board, msg.sender, data, content);
        _orRevert(refusal);
        task.board = board;
    }

    /// @notice Reveals miners' results, for anyone who knows them: see Reveal.
    /// @param texts the results in plain text, in the order of the elements whose `content` is 0
    /// @dev Cheapest when the elements of one task follow each other.
    function relayCommits(Reveal[] calldata items, string[] calldata texts) external {
        Task storage task = _slot(0, 0);
        (uint256 sessionId, uint256 taskId, uint256 used) = (0, 0, 0);
        Board board;
        uint256 begin = _memory();
        for (uint256 i; i < items.length; ++i) {
            Reveal calldata m = items[i];
            if (i == 0 || m.taskId != taskId || m.sessionId != sessionId) {
                if (!board.isEmpty()) task.board = board;
                (sessionId, taskId) = (m.sessionId, m.taskId);
                task = _slot(sessionId, taskId);
                board = task.board;
            }
            bytes32 content = m.content;
            string memory data;
            if (content == 0) {
                if (used == texts.length) revert TextMissing(i);
                data = texts[used++];
                (, content) = ContentAddress.pack(data);
            }
            bytes memory refusal;
            if (board.isEmpty()) refusal = _notFound(sessionId, taskId);
            else (refusal, board) = _commit(sessionId, taskId, task, board, m.miner, data, content);
            _report("commit", i, refusal);
            _free(begin);
        }
        if (!board.isEmpty()) task.board = board;
    }

    // ---------------------------------------------------------------- verdict

    /// @notice Judges all revealed results of a task, pays their miners and ends the task. For validators; the
    ///         first verdict counts.
    function verdict(Verdict calldata item) external onlyRole(RoleIds.VALIDATOR) {
        Task storage task = _task(item.sessionId, item.taskId);
        Board board = task.board;
        uint256 plan = _planOf(item.sessionId, task, board);
        _orRevert(_verdict(item, task, board, plan, msg.sender));
    }

    function relayVerdicts(SignedVerdict[] calldata items) external {
        bytes32 domain = _domainSeparatorV4();
        address known; // to be a validator
        uint256 begin = _memory();
        for (uint256 i; i < items.length; ++i) {
            Verdict calldata v = items[i].verdict;
            Task storage task = _slot(v.sessionId, v.taskId);
            Board board = task.board;
            bytes memory refusal;
            address validator;
            uint256 plan;
            if (board.isEmpty()) {
                refusal = _notFound(v.sessionId, v.taskId);
            } else {
                plan = _planOf(v.sessionId, task, board);
                bytes32 digest = _digestOf(v.sessionId, v.taskId, task, board, plan);
                (validator, refusal) =
                    _signer(domain, TaskMessages.verdictHash(v, digest), items[i].r, items[i].vs);
            }
            if (refusal.length == 0 && validator != known) {
                if (roles.hasRole(RoleIds.VALIDATOR, validator)) known = validator;
                else refusal = abi.encodeWithSelector(MissingRole.selector, validator, RoleIds.VALIDATOR);
            }
            if (refusal.length == 0) refusal = _verdict(v, task, board, plan, validator);
            _report("verdict", i, refusal);
            _free(begin);
        }
    }

    // ---------------------------------------------------------------- inside

    function _companion() internal view override returns (address) {
        return address(overdue);
    }

    function _signatureRefusal(bytes32 domain, bytes32 structHash, address expected, bytes32 r, bytes32 vs)
        private
        pure
        returns (bytes memory)
    {
        (address recovered, bytes memory refusal) = _signer(domain, structHash, r, vs);
        if (refusal.length != 0) return refusal;
        if (recovered != expected) return abi.encodeWithSelector(WrongSigner.selector, expected, recovered);
        return "";
    }

    function _signer(bytes32 domain, bytes32 structHash, bytes32 r, bytes32 vs)
        private
        pure
        returns (address signer, bytes memory refusal)
    {
        ECDSA.RecoverError problem;
        (signer, problem,) = ECDSA.tryRecover(MessageHashUtils.toTypedDataHash(domain, structHash), r, vs);
        if (problem != ECDSA.RecoverError.NoError) refusal = abi.encodeWithSelector(MalformedSignature.selector);
    }

    function _requireAssigner() private view {
        if (!roles.hasRole(RoleIds.ORACLE, msg.sender)) _requireRole(RoleIds.ROUTER);
    }
}
