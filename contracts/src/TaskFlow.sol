// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Part, Progress} from "./Lanes.sol";
import {NodePool} from "./NodePool.sol";
import {Holding, SessionPayment} from "./SessionPayment.sol";
import {TaskLedger} from "./TaskLedger.sol";
import {TaskTerms} from "./TaskTerms.sol";
import {TaskStatus} from "./TaskTypes.sol";

/// @title What the steps of a task's life share: TaskSteps are those in time, TaskOverdue the others.
/// @notice Every stage has a deadline. Nothing is accepted after it, and nothing can be forced before it has
///         passed. Who may take which step is decided by SessionQueue and OverdueTasks.
/// @dev A step first looks at everything, then changes; it answers with its refusal (see Batching), or nothing
///      when it has been done.
///      Calls go out to the project's own contracts only (NodePool, SessionPayment), none of which calls back;
///      no tokens move here.
abstract contract TaskFlow is TaskLedger {
    using TaskTerms for uint256;
    using Progress for uint64;
    using Part for uint64;

    SessionPayment public immutable payment;
    NodePool public immutable pool;

    uint48 internal _latestGlobalId;

    /// @dev A miner that was replaced never returns to the task, or its lateness could be undone.
    mapping(bytes32 taskDigest => mapping(address miner => bool)) internal _replaced;
    /// @notice What the draws of a period share; written by the first draw that needs it, then fixed.
    mapping(uint256 period => bytes32) public drawSeeds;

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
        address validator,
        uint256 inputTokens,
        address[] miners,
        uint256[] accuraciesBps,
        uint256[] outputTokens
    );
    event DrawSeedFixed(uint256 indexed period, bytes32 seed);
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
    /// @dev None of the drawn can take the place.
    error NobodyDrawn(bytes32 seed);
    /// @dev The miner's part has not come as far as the step needs.
    error PartNotReady(TaskStatus state);
    error HashFixed(bytes32 given, bytes32 expected);
    error HashMismatch(bytes32 given, bytes32 expected);
    error ZeroHash();
    error EmptyData();
    error DataTooLong(uint256 length, uint256 most);
    error VerdictTooLarge(uint256 value, uint256 most);
    error ListsDiffer(uint256 miners, uint256 accuracies, uint256 outputTokens);
    /// @dev A verdict judges all who have revealed, each once.
    error NotAllJudged(uint256 judged, uint256 revealed);

    constructor(SessionPayment payment_, NodePool pool_) {
        payment = payment_;
        pool = pool_;
    }

    function _finish(uint256 sessionId, uint256 taskId, Task storage task, uint256 board) internal {
        task.lanes[0] = _withProgress(board, uint64(board).withStatus(TaskStatus.Ended, block.timestamp));
        emit TaskEnded(sessionId, taskId, _minersBetween(task, board, TaskStatus.Committed, TaskStatus.Ended));
    }

    /// @dev A settlement that pays nobody.
    function _refund(uint256 sessionId, uint256 taskId, Task storage task) internal {
        payment.settle(
            _holding(sessionId, taskId, task), 0, new address[](0), new uint256[](0), new uint256[](0)
        );
    }

    function _holding(uint256 sessionId, uint256 taskId, Task storage task) internal view returns (Holding memory) {
        uint256 terms = task.terms;
        return Holding(
            sessionId, taskId, task.priceId, task.redundancy, terms.maxInputTokens(), terms.maxTokens()
        );
    }

    function _withPhaseOver(Task storage task, uint256 board) internal view returns (uint256) {
        uint64 progress = uint64(board);
        progress = progress.withPhase(block.timestamp - _assignedAt(task, progress));
        return _withProgress(board, progress.withStatus(TaskStatus.Precommitted, block.timestamp));
    }

    // ---------------------------------------------------------------- places

    /// @dev Gives a place to a miner that has done nothing for the task yet.
    function _place(Task storage task, uint256 board, uint256 index, address miner, uint256 number, uint256 since)
        internal
        returns (uint256)
    {
        if (_numberOf[miner] == 0) {
            _numberOf[miner] = number;
            _minerOf[number] = miner;
        }
        return _withPart(task, board, index, Part.placed(number, since));
    }

    /// @return the board with the part, which the caller writes; parts beyond it are written here
    function _withPart(Task storage task, uint256 board, uint256 index, uint64 part) internal returns (uint256) {
        unchecked {
            uint256 lane = index + 1;
            uint256 shift = (lane & 3) << 6;
            uint256 mask = ~(uint256(type(uint64).max) << shift);
            if (lane < 4) return (board & mask) | (uint256(part) << shift);
            task.lanes[lane >> 2] = (task.lanes[lane >> 2] & mask) | (uint256(part) << shift);
            return board;
        }
    }

    function _withProgress(uint256 board, uint64 progress) internal pure returns (uint256) {
        return (board & ~uint256(type(uint64).max)) | progress;
    }

    // ---------------------------------------------------------------- checks and refusals

    function _notFound(uint256 sessionId, uint256 taskId) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(TaskNotFound.selector, sessionId, taskId);
    }

    function _notAssigned(address miner) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(NotAssigned.selector, miner);
    }

    function _alreadyDone() internal pure returns (bytes memory) {
        return abi.encodeWithSelector(AlreadyDone.selector);
    }

    function _phaseOver() internal pure returns (bytes memory) {
        return abi.encodeWithSelector(PhaseOver.selector);
    }

    function _phaseOpen() internal pure returns (bytes memory) {
        return abi.encodeWithSelector(PhaseOpen.selector);
    }

    function _partNotReady(uint64 part) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(PartNotReady.selector, part.state());
    }

    function _late(uint256 deadline) internal view returns (bytes memory) {
        return abi.encodeWithSelector(TooLate.selector, block.timestamp, deadline);
    }

    function _early(uint256 deadline) internal view returns (bytes memory) {
        return abi.encodeWithSelector(TooEarly.selector, block.timestamp, deadline);
    }
}
