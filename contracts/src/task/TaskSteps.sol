// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Board, Boards, NOWHERE, Part, Parts} from "./Board.sol";
import {ISession} from "../session/ISession.sol";
import {Mark, Marks} from "./Marks.sol";
import {NodeIds} from "../node/NodeIds.sol";
import {TaskFlow} from "./TaskFlow.sol";
import {TaskTerms} from "./TaskTerms.sol";
import {NewTask, TaskStatus, Verdict} from "./TaskTypes.sol";

/// @title The regular steps of a task: their conditions, their effects and their payments.
abstract contract TaskSteps is TaskFlow {
    using TaskTerms for uint256;

    uint256 public constant MAX_DATA_BYTES = 16 * 1024;
    uint256 private constant BPS = 10_000;
    /// @dev The timeliness of a result that arrives at the very end of its time.
    uint256 private constant LATEST_TIMELINESS_BPS = 8_000;

    // ---------------------------------------------------------------- submission and assignment

    /// @dev Reverts with its refusal, which Session, the caller, reports.
    function _enqueue(NewTask calldata t, string calldata taskData, string calldata promptTemplate) internal {
        Task storage task = _slot(t.sessionId, t.taskId);
        Board board = task.board;
        bytes32 digest = TaskTerms.digestOf(t.sid, t.taskId, t.content, t.terms, t.rest);
        if (!board.isEmpty()) {
            if (_digestOf(t.sessionId, t.taskId, task, board) == digest) revert AlreadyDone();
            revert TaskIdTaken();
        }
        uint256 priceId =
            payment.reserve(t.sessionId, t.taskId, t.modelIdentifier, t.redundancy, digest, t.terms);
        _appendId(t.sessionId, t.taskId);
        // The values fit: Session has checked the redundancy and packed the terms, and the escrow limits price numbers.
        uint256 plan = _packedPlan(t.terms, priceId, t.redundancy);
        (uint256 number, bool isFirst) = _numberOfPlan(t.sessionId, plan);
        if (isFirst) _keys[t.sessionId] = SessionKey(t.sid, t.modelIdentifier);
        if (number == OWN_PLAN) task.ownPlan = plan;
        task.content = t.content;
        task.board = Boards.opened(number, t.isText, t.rest != 0, t.terms.maxInputTokens());
        if (t.rest != 0) task.rest = t.rest;
        if (t.isText) task.text = taskData;
        if (bytes(promptTemplate).length != 0) task.promptTemplate = promptTemplate;
        emit TaskQueued(t.sessionId, t.taskId, _globalId(t.sessionId, t.taskId), taskData);
    }

    function _assign(
        ISession session,
        uint256 sessionId,
        uint256 taskId,
        address[] calldata miners,
        uint256 modelIdentifier
    ) internal returns (bytes memory) {
        Task storage task = _slot(sessionId, taskId);
        Board board = task.board;
        if (board.isEmpty()) return _notFound(sessionId, taskId);
        TaskStatus status = board.status();
        if (status != TaskStatus.Queued) return abi.encodeWithSelector(WrongStatus.selector, status);
        uint256 plan = _planOf(sessionId, task, board);
        uint256 deadline = _queueDeadline(board, uint256(uint160(plan)).timeout()) + GRACE_WINDOW;
        if (block.timestamp > deadline) return _late(deadline);
        if (miners.length == 0 || miners.length > _redundancyIn(plan)) {
            return abi.encodeWithSelector(WrongNumberOfMiners.selector, miners.length, _redundancyIn(plan));
        }
        uint256 expected = _keys[sessionId].modelIdentifier;
        if (modelIdentifier != expected) {
            return abi.encodeWithSelector(WrongModel.selector, modelIdentifier, expected);
        }
        uint256[] memory numbers = pool.usableNumbers(miners, modelIdentifier);
        for (uint256 i; i < miners.length; ++i) {
            uint256 number = numbers[i];
            if (number == 0) return abi.encodeWithSelector(NotEligible.selector, miners[i]);
            for (uint256 j; j < i; ++j) {
                if (numbers[j] == number) return abi.encodeWithSelector(DuplicateMiner.selector, miners[i]);
            }
        }
        uint256 admitted = session.admitAssignment(sessionId, taskId, NodeIds.listOf(miners));
        if (admitted != miners.length) return abi.encodeWithSelector(NotOfSession.selector, miners[admitted]);

        board = board.withAssignment(miners.length);
        for (uint256 i; i < miners.length; ++i) {
            board = _place(task, board, i, miners[i], false);
        }
        task.board = board;
        emit TaskAssigned(sessionId, taskId, miners);
        return "";
    }

    // ---------------------------------------------------------------- a miner's steps
    // These functions take the task and its board, and return the changed board. So a batch reads and writes the board
    // once for several steps of one task.

    function _ack(
        uint256 sessionId,
        uint256 taskId,
        Task storage task,
        Board board,
        uint256 timeout,
        address miner
    ) internal returns (bytes memory, Board) {
        (bool found, uint256 index) = _find(task, board, miner);
        if (!found) return (_notAssigned(miner), board);
        Part part = _part(task, board, index);
        if (part.hasAcked()) return (_alreadyDone(), board);
        if (board.status() >= TaskStatus.Precommitted) return (_phaseOver(), board);
        uint256 assignedAt = board.assignedAt();
        if (block.timestamp > assignedAt + timeout) return (_late(assignedAt + timeout), board);

        task.ackedAfter = _withTime(task.ackedAfter, index, block.timestamp - assignedAt);
        board = _withPart(task, board, index, part.withAck());
        emit TaskAcked(sessionId, taskId, miner);
        return ("", board.withStatus(TaskStatus.Acked));
    }

    function _precommit(
        uint256 sessionId,
        uint256 taskId,
        Task storage task,
        Board board,
        uint256 timeout,
        address miner,
        bytes32 hash
    ) internal returns (bytes memory, Board) {
        (uint256 index, uint256 placed, uint256 precommitted,) = _survey(task, board, miner);
        if (index == NOWHERE) return (_notAssigned(miner), board);
        if (hash == 0) return (abi.encodeWithSelector(ZeroHash.selector), board);
        Part part = _part(task, board, index);
        if (part.hasPrecommitted()) return (_secondPrecommit(task, index, part, hash), board);
        if (board.status() >= TaskStatus.Precommitted) return (_phaseOver(), board);
        uint256 assignedAt = board.assignedAt();
        uint256 deadline = assignedAt + timeout + GRACE_WINDOW;
        if (block.timestamp > deadline) return (_late(deadline), board);

        board = _withPart(task, board, index, part.withPrecommit(block.timestamp - assignedAt));
        _keepResult(task, index, hash);
        emit TaskPrecommitted(sessionId, taskId, miner);
        if (precommitted + 1 != placed) return ("", board.withStatus(TaskStatus.Acked));
        board = board.withPhaseOver();
        emit TaskAllPrecommitted(
            sessionId, taskId, _minersBetween(task, board, TaskStatus.Precommitted, TaskStatus.Ended)
        );
        return ("", board);
    }

    function _secondPrecommit(Task storage task, uint256 index, Part part, bytes32 hash)
        private
        view
        returns (bytes memory)
    {
        bytes32 first = _result(task, index);
        if (part.hasCommitted() || first == hash) return _alreadyDone();
        return abi.encodeWithSelector(HashFixed.selector, hash, first);
    }

    /// @param content the digest in the result's content address; 0 if the result is the plain text `data`
    function _commit(
        uint256 sessionId,
        uint256 taskId,
        Task storage task,
        Board board,
        address miner,
        string memory data,
        bytes32 content
    ) internal returns (bytes memory, Board) {
        (uint256 index,, uint256 precommitted, uint256 committed) = _survey(task, board, miner);
        if (index == NOWHERE) return (_notAssigned(miner), board);
        Part part = _part(task, board, index);
        if (part.hasCommitted()) return (_alreadyDone(), board);
        TaskStatus status = board.status();
        if (status != TaskStatus.Precommitted) {
            return (status < TaskStatus.Precommitted ? _phaseOpen() : _phaseOver(), board);
        }
        if (!part.hasPrecommitted()) return (_partNotReady(part), board);
        uint256 stageAt = board.stageAt();
        if (block.timestamp > stageAt + COMMIT_WINDOW) return (_late(stageAt + COMMIT_WINDOW), board);
        bytes32 hash;
        if (content != 0) {
            hash = _commitHash(sessionId, taskId, miner, content);
        } else {
            bytes memory refusal = _dataRefusal(data);
            if (refusal.length != 0) return (refusal, board);
            hash = _commitHash(sessionId, taskId, miner, data);
        }
        bytes32 expected = _result(task, index);
        if (hash != expected) return (abi.encodeWithSelector(HashMismatch.selector, hash, expected), board);

        uint256 after_ = block.timestamp - stageAt;
        if (after_ >= Parts.LATER_COMMIT) {
            task.committedAfter = _withTime(task.committedAfter, index, after_);
            after_ = Parts.LATER_COMMIT;
        }
        board = _withPart(task, board, index, part.withCommit(after_));
        if (content != 0) _keepResult(task, index, content);
        else task.resultTexts[index] = data;
        emit TaskCommitted(sessionId, taskId, miner);
        // Miners that have not precommitted have lost their places already, and do not count.
        if (committed + 1 != precommitted) return ("", board);
        board = board.withStage(TaskStatus.Committed);
        emit TaskAllCommitted(
            sessionId, taskId, _minersBetween(task, board, TaskStatus.Committed, TaskStatus.Ended)
        );
        return ("", board);
    }

    function _dataRefusal(string memory data) private pure returns (bytes memory) {
        uint256 length = bytes(data).length;
        if (length == 0) return abi.encodeWithSelector(EmptyData.selector);
        if (length > MAX_DATA_BYTES) return abi.encodeWithSelector(DataTooLong.selector, length, MAX_DATA_BYTES);
        return "";
    }

    // ---------------------------------------------------------------- the verdict

    /// @dev Judges all miners that have revealed, pays them, and ends the task.
    function _verdict(Verdict calldata v, Task storage task, Board board, uint256 plan, address validator)
        internal
        returns (bytes memory)
    {
        if (board.judged()) return _alreadyDone();
        TaskStatus status = board.status();
        if (status == TaskStatus.Ended) return abi.encodeWithSelector(AlreadyEnded.selector);
        if (status < TaskStatus.Committed) return _phaseOpen();
        (bytes memory refusal, Mark[] memory marks) = _weigh(task, board, uint256(uint160(plan)), v);
        if (refusal.length != 0) return refusal;

        _finish(v.sessionId, v.taskId, task, board.withJudged());
        payment.settle(_holding(v.sessionId, v.taskId, plan, board), v.inputTokens, marks);
        emit TaskVerdict(v.sessionId, v.taskId, validator, v.inputTokens, pool.recordMarks(marks));
        return "";
    }

    /// @dev Ignores miners in the verdict that have not revealed. Their lateness was handled when the phase ended, and
    ///      the pay of other miners must not depend on whether a reveal is mined in time. Miners that have revealed
    ///      must not be missing in the verdict.
    /// @param terms the terms without maxInputTokens, which is on the board
    /// @return refusal the error if the verdict does not fit the task
    /// @return marks the marks of the miners that have revealed
    function _weigh(Task storage task, Board board, uint256 terms, Verdict calldata v)
        private
        view
        returns (bytes memory refusal, Mark[] memory marks)
    {
        address[] calldata miners = v.miners;
        uint256[] calldata accuraciesBps = v.accuraciesBps;
        uint256[] calldata outputTokens = v.outputTokens;
        if (accuraciesBps.length != miners.length || outputTokens.length != miners.length) {
            refusal = abi.encodeWithSelector(
                ListsDiffer.selector, miners.length, accuraciesBps.length, outputTokens.length
            );
            return (refusal, marks);
        }
        uint256 most = board.maxInputTokens();
        if (v.inputTokens > most) return (_tooLarge(v.inputTokens, most), marks);
        (,, uint256 revealed) = _count(task, board);
        marks = new Mark[](revealed);
        uint256 seen;
        uint256 count;
        for (uint256 i; i < miners.length; ++i) {
            address miner = miners[i];
            (bool found, uint256 index) = _find(task, board, miner);
            if (!found) continue;
            Part part = _part(task, board, index);
            if (!part.hasCommitted()) continue;
            if ((seen >> index) & 1 == 1) {
                return (abi.encodeWithSelector(DuplicateMiner.selector, miner), marks);
            }
            seen |= 1 << index;
            (uint256 accuracyBps, uint256 tokens) = (accuraciesBps[i], outputTokens[i]);
            if (accuracyBps > BPS) return (_tooLarge(accuracyBps, BPS), marks);
            most = terms.maxTokens();
            if (tokens > most) return (_tooLarge(tokens, most), marks);
            uint256 timelinessBps = _timelinessBps(_placedAfter(task, index, part), part, terms.timeout());
            marks[count++] = Marks.given(miner, accuracyBps, timelinessBps, tokens);
        }
        if (count != revealed) refusal = abi.encodeWithSelector(NotAllJudged.selector, count, revealed);
    }

    /// @dev The timeliness is full up to half of the lease. It then falls linearly to LATEST_TIMELINESS_BPS at the
    ///      precommit deadline. A precommit in the grace window counts as one at the deadline. The loss is rounded up.
    function _timelinessBps(uint256 placedAfter, Part part, uint256 timeout) private pure returns (uint256) {
        uint256 from = placedAfter + timeout / 4;
        uint256 done = part.precommittedAfter();
        if (done > timeout) done = timeout;
        if (done <= from) return BPS;
        // `done` is at most `timeout`, so `timeout` is greater than `from` here.
        uint256 loss = (BPS - LATEST_TIMELINESS_BPS) * (done - from);
        return BPS - (loss + (timeout - from) - 1) / (timeout - from);
    }

    function _tooLarge(uint256 value, uint256 most) private pure returns (bytes memory) {
        return abi.encodeWithSelector(VerdictTooLarge.selector, value, most);
    }
}
