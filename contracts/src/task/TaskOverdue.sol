// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Board, Part} from "./Board.sol";
import {ISession} from "../session/ISession.sol";
import {TaskFlow} from "./TaskFlow.sol";
import {TaskTerms} from "./TaskTerms.sol";
import {TaskStatus} from "./TaskTypes.sol";

/// @title The steps of an overdue task: replacement of miners, the end of a stage, the end of the task.
abstract contract TaskOverdue is TaskFlow {
    using TaskTerms for uint256;

    /// @notice The length of a draw period in seconds. All draws of a period use the same seed.
    uint256 public constant DRAW_PERIOD = 4;
    /// @notice The most drawn nodes that are examined until one can take the place.
    uint256 public constant DRAWS = 64;

    // ---------------------------------------------------------------- replacement

    /// @dev Replaces a late miner by the oracle's choice. Possible from the miner's deadline until the draw opens.
    function _replace(uint256 sessionId, uint256 taskId, address late, address replacement)
        internal
        returns (bytes memory refusal)
    {
        Task storage task = _slot(sessionId, taskId);
        uint256 index;
        uint256 assignedAt;
        (refusal, index, assignedAt) = _lateMiner(sessionId, taskId, task, late);
        if (refusal.length != 0) return refusal;
        uint256 timeout = _timeoutOf(sessionId, task, task.board);
        uint256 lease = _part(task, task.board, index).hasAcked() ? timeout / 2 : _ackWindow(timeout);
        if (block.timestamp <= assignedAt + lease) return _early(assignedAt + lease);
        uint256 opens = _drawOpens(assignedAt, timeout);
        if (block.timestamp > opens) return _late(opens);
        bytes32 digest = _digestOf(sessionId, taskId, task, task.board);
        if (_isTaken(task, digest, replacement)) {
            return abi.encodeWithSelector(DuplicateMiner.selector, replacement);
        }
        if (!payment.session().mayWorkFor(sessionId, replacement)) {
            return abi.encodeWithSelector(NotOfSession.selector, replacement);
        }
        if (!_mayTakePlace(sessionId, replacement)) return abi.encodeWithSelector(NotEligible.selector, replacement);
        _giveAway(sessionId, taskId, task, digest, index, late, replacement);
    }

    /// @dev Replaces a late miner by a draw. Anyone may do this.
    function _replaceByDraw(uint256 sessionId, uint256 taskId, address late) internal returns (bytes memory refusal) {
        Task storage task = _slot(sessionId, taskId);
        uint256 index;
        uint256 assignedAt;
        (refusal, index, assignedAt) = _lateMiner(sessionId, taskId, task, late);
        if (refusal.length != 0) return refusal;
        // The first period that begins after the oracle's time to choose. Nobody can know its seed before.
        uint256 period = _drawOpens(assignedAt, _timeoutOf(sessionId, task, task.board)) / DRAW_PERIOD + 1;
        if (block.timestamp < period * DRAW_PERIOD) return _early(period * DRAW_PERIOD);
        bytes32 digest = _digestOf(sessionId, taskId, task, task.board);
        bytes32 seed = keccak256(abi.encode(_drawSeed(period), digest, late));
        ISession session = payment.session();
        for (uint256 attempt; attempt < DRAWS; ++attempt) {
            address replacement = session.drawn(sessionId, seed, attempt);
            if (_isTaken(task, digest, replacement)) continue;
            if (!_mayTakePlace(sessionId, replacement)) continue;
            _giveAway(sessionId, taskId, task, digest, index, late, replacement);
            return "";
        }
        return abi.encodeWithSelector(NobodyDrawn.selector, seed);
    }

    // ---------------------------------------------------------------- ending stages by force

    /// @dev Replaces all silent miners, which have neither acked nor precommitted, by a draw. Those that can be
    ///      replaced are replaced. If none can, the function returns the first one's refusal.
    function _endAck(uint256 sessionId, uint256 taskId) internal returns (bytes memory refusal) {
        Task storage task = _slot(sessionId, taskId);
        Board board = task.board;
        refusal = _outsidePrecommitPhase(sessionId, taskId, board);
        if (refusal.length != 0) return refusal;
        address[] memory silent = _minersBetween(task, board, TaskStatus.Assigned, TaskStatus.Acked);
        if (silent.length == 0) return _alreadyDone();
        bool replaced;
        for (uint256 i; i < silent.length; ++i) {
            bytes memory one = _replaceByDraw(sessionId, taskId, silent[i]);
            if (one.length == 0) replaced = true;
            else if (refusal.length == 0) refusal = one;
        }
        if (replaced) return "";
    }

    function _endPrecommit(uint256 sessionId, uint256 taskId, bool emitAll)
        internal
        returns (bytes memory refusal)
    {
        Task storage task = _slot(sessionId, taskId);
        Board board = task.board;
        refusal = _outsidePrecommitPhase(sessionId, taskId, board);
        if (refusal.length != 0) return refusal;
        refusal = _tooEarlyToEnd(_precommitDeadline(board, _timeoutOf(sessionId, task, board)));
        if (refusal.length != 0) return refusal;
        _closePrecommit(sessionId, taskId, task, board, emitAll);
        return "";
    }

    function _endCommit(uint256 sessionId, uint256 taskId, bool emitAll) internal returns (bytes memory) {
        Task storage task = _slot(sessionId, taskId);
        Board board = task.board;
        if (board.isEmpty()) return _notFound(sessionId, taskId);
        if (board.status() >= TaskStatus.Committed) return _phaseOver();
        if (board.status() < TaskStatus.Precommitted) return _phaseOpen();
        uint256 deadline = board.stageAt() + COMMIT_WINDOW;
        if (block.timestamp <= deadline) return _early(deadline);
        _closeCommit(sessionId, taskId, task, board, emitAll);
        return "";
    }

    function _end(uint256 sessionId, uint256 taskId, bool forceEnd) internal returns (bytes memory) {
        Task storage task = _slot(sessionId, taskId);
        Board board = task.board;
        if (board.isEmpty()) return _notFound(sessionId, taskId);
        TaskStatus status = board.status();
        if (status == TaskStatus.Ended) return abi.encodeWithSelector(AlreadyEnded.selector);
        if (!forceEnd) return abi.encodeWithSelector(WrongStatus.selector, status);
        if (status == TaskStatus.Queued) {
            bytes memory refusal = _tooEarlyToEnd(_queueDeadline(board, _timeoutOf(sessionId, task, board)));
            if (refusal.length != 0) return refusal;
        } else if (status < TaskStatus.Precommitted) {
            (, uint256 precommitted,) = _count(task, board);
            if (precommitted != 0) return _phaseOpen();
            return _endPrecommit(sessionId, taskId, false);
        } else if (status == TaskStatus.Precommitted) {
            (,, uint256 committed) = _count(task, board);
            if (committed != 0) return _phaseOpen();
            return _endCommit(sessionId, taskId, false);
        } else {
            uint256 deadline = board.stageAt() + VERDICT_WINDOW;
            if (block.timestamp <= deadline) return _early(deadline);
        }
        _finish(sessionId, taskId, task, board);
        _refund(sessionId, taskId, task, board);
        return "";
    }

    /// @dev Ends the precommit phase by force. The task ends if no miner has precommitted.
    function _closePrecommit(uint256 sessionId, uint256 taskId, Task storage task, Board board, bool emitAll)
        private
    {
        board = board.withPhaseOver();
        task.board = board;
        address[] memory ready = _minersBetween(task, board, TaskStatus.Precommitted, TaskStatus.Ended);
        if (emitAll) emit TaskAllPrecommitted(sessionId, taskId, ready);
        emit TaskPrecommitEnded(sessionId, taskId);
        pool.recordOutcomes(_minersBetween(task, board, TaskStatus.Assigned, TaskStatus.Precommitted), 0);
        if (ready.length != 0) return;
        _finish(sessionId, taskId, task, board);
        _refund(sessionId, taskId, task, board);
    }

    /// @dev Ends the commit phase by force. Miners that have not revealed lose stake. The task ends if no miner has
    ///      revealed.
    function _closeCommit(uint256 sessionId, uint256 taskId, Task storage task, Board board, bool emitAll)
        private
    {
        board = board.withStage(TaskStatus.Committed);
        task.board = board;
        address[] memory revealed = _minersBetween(task, board, TaskStatus.Committed, TaskStatus.Ended);
        if (emitAll) emit TaskAllCommitted(sessionId, taskId, revealed);
        emit TaskCommitEnded(sessionId, taskId);
        address[] memory silent = _minersBetween(task, board, TaskStatus.Precommitted, TaskStatus.Committed);
        pool.recordOutcomes(silent, 0);
        for (uint256 i; i < silent.length; ++i) {
            pool.slash(silent[i]);
        }
        if (revealed.length != 0) return;
        _finish(sessionId, taskId, task, board);
        _refund(sessionId, taskId, task, board);
    }

    // ---------------------------------------------------------------- inside

    function _giveAway(
        uint256 sessionId,
        uint256 taskId,
        Task storage task,
        bytes32 digest,
        uint256 index,
        address late,
        address replacement
    ) private {
        _replaced[digest][late] = true;
        Board board = task.board;
        task.placedAfter = _withTime(task.placedAfter, index, block.timestamp - board.assignedAt());
        task.board = _place(task, board, index, replacement, true);
        emit TaskMinerReplaced(sessionId, taskId, late, replacement);
        address[] memory failed = new address[](1);
        failed[0] = late;
        pool.recordOutcomes(failed, 0);
    }

    /// @return refusal the error if the state of the miner's part does not allow a replacement
    /// @return index the miner's place
    /// @return assignedAt the time when it got the place
    function _lateMiner(uint256 sessionId, uint256 taskId, Task storage task, address late)
        private
        view
        returns (bytes memory refusal, uint256 index, uint256 assignedAt)
    {
        Board board = task.board;
        if (board.isEmpty()) return (_notFound(sessionId, taskId), 0, 0);
        if (_replaced[_digestOf(sessionId, taskId, task, board)][late]) return (_alreadyDone(), 0, 0);
        bool found;
        (found, index) = _find(task, board, late);
        if (!found) return (_notAssigned(late), 0, 0);
        if (board.status() >= TaskStatus.Precommitted) return (_phaseOver(), 0, 0);
        uint256 deadline = _precommitDeadline(board, _timeoutOf(sessionId, task, board));
        if (block.timestamp > deadline) return (_late(deadline), 0, 0);
        Part part = _part(task, board, index);
        if (part.hasPrecommitted()) return (_alreadyDone(), 0, 0);
        assignedAt = board.assignedAt() + _placedAfter(task, index, part);
    }

    function _isTaken(Task storage task, bytes32 digest, address miner) private view returns (bool) {
        (bool found,) = _find(task, task.board, miner);
        return found || _replaced[digest][miner];
    }

    function _mayTakePlace(uint256 sessionId, address node) private view returns (bool) {
        address[] memory nodes = new address[](1);
        nodes[0] = node;
        return pool.usableNumbers(nodes, _keys[sessionId].modelIdentifier)[0] != 0;
    }

    /// @dev The error if a task is not in its precommit phase; empty if it is.
    function _outsidePrecommitPhase(uint256 sessionId, uint256 taskId, Board board)
        private
        pure
        returns (bytes memory)
    {
        if (board.isEmpty()) return _notFound(sessionId, taskId);
        TaskStatus status = board.status();
        if (status >= TaskStatus.Precommitted) return _phaseOver();
        if (status == TaskStatus.Queued) return abi.encodeWithSelector(WrongStatus.selector, status);
        return "";
    }

    /// @dev An oracle may end a stage from its deadline on, since it knows whether a step is still on its way. Other
    ///      accounts may do so after GRACE_WINDOW, so that the network does not depend on an oracle.
    /// @return the refusal; empty if the sender may end the stage
    function _tooEarlyToEnd(uint256 deadline) private view returns (bytes memory) {
        if (block.timestamp > deadline + GRACE_WINDOW) return "";
        if (block.timestamp <= deadline) return _early(deadline);
        return _isOracle(msg.sender) ? bytes("") : _early(deadline + GRACE_WINDOW);
    }

    function _isOracle(address account) internal view virtual returns (bool);

    function _ackWindow(uint256 timeout) private pure returns (uint256) {
        uint256 quarter = timeout / 4;
        return quarter < ACK_WINDOW ? quarter : ACK_WINDOW;
    }

    /// @dev The oracle's time to choose ends an eighth of the timeout after the lease, but lasts at least
    ///      CHOICE_WINDOW, since on a chain with one block a second a shorter time would be useless. If the precommit
    ///      deadline comes first, it ends the time to choose, and there is no draw.
    function _drawOpens(uint256 assignedAt, uint256 timeout) private pure returns (uint256) {
        uint256 eighth = timeout / 8;
        return assignedAt + timeout / 2 + (eighth > CHOICE_WINDOW ? eighth : CHOICE_WINDOW);
    }

    /// @dev The first draw of a period fixes its seed. The account that makes this draw can choose its time, but not
    ///      the seed, and any other account can come first.
    function _drawSeed(uint256 period) private returns (bytes32 seed) {
        seed = drawSeeds[period];
        if (seed != 0) return seed;
        seed = keccak256(abi.encode(block.prevrandao, blockhash(block.number - 1), period));
        drawSeeds[period] = seed;
        emit DrawSeedFixed(period, seed);
    }
}
