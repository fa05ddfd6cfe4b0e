// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Board, Part, Parts} from "./Board.sol";
import {Mark} from "./Marks.sol";
import {NodePool} from "../node/NodePool.sol";
import {Holding, SessionPayment} from "../money/SessionPayment.sol";
import {TaskLedger} from "./TaskLedger.sol";
import {TaskTerms} from "./TaskTerms.sol";
import {TaskStatus} from "./TaskTypes.sol";

/// @title Code that the steps of a task share. TaskSteps has the regular steps, TaskOverdue those after a deadline.
/// @notice Every stage has a deadline, and cannot be ended by force before it. SessionQueue and OverdueTasks decide who
///         may take which step.
/// @dev A step makes all its checks before it changes anything. It returns its refusal (see Batching), or empty bytes
///      if it was done. These contracts call only the project's own contracts (NodePool, SessionPayment), none of
///      which calls back, and move no tokens.
abstract contract TaskFlow is TaskLedger {
    using TaskTerms for uint256;

    SessionPayment public immutable payment;
    NodePool public immutable pool;

    /// @dev A replaced miner cannot get a place in the task again. Otherwise, its lateness could be undone.
    mapping(bytes32 taskDigest => mapping(address miner => bool)) internal _replaced;
    /// @notice The seed that the draws of a period share. The first draw that needs it writes it, and it never changes.
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
    /// @param marks a word for each result with its mark and the node's new reputation: see Mark
    event TaskVerdict(
        uint256 sessionId, uint256 taskId, address validator, uint256 inputTokens, Mark[] marks
    );
    event DrawSeedFixed(uint256 indexed period, bytes32 seed);
    event TaskEnded(uint256 sessionId, uint256 taskId, address[] miners);

    // A refusal contains only what its caller does not know. The caller knows which task it was about.

    /// @dev The step has been done already. The relayer has nothing left to do.
    error AlreadyDone();
    error AlreadyEnded();
    /// @dev The step requires that an earlier phase is over, and that phase is still open.
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
    /// @dev All numbers for miners are in use.
    error TooManyMiners(uint256 most);
    /// @dev The session accepts only the nodes on its own list, and the miner is not on it.
    error NotOfSession(address miner);
    error NotAssigned(address miner);
    /// @dev None of the drawn nodes can take the place.
    error NobodyDrawn(bytes32 seed);
    /// @dev The miner's part has not reached the state that the step requires.
    error PartNotReady(TaskStatus state);
    error HashFixed(bytes32 given, bytes32 expected);
    error HashMismatch(bytes32 given, bytes32 expected);
    error ZeroHash();
    error EmptyData();
    error DataTooLong(uint256 length, uint256 most);
    error VerdictTooLarge(uint256 value, uint256 most);
    error ListsDiffer(uint256 miners, uint256 accuracies, uint256 outputTokens);
    /// @dev The verdict does not judge each miner that has revealed exactly once.
    error NotAllJudged(uint256 judged, uint256 revealed);

    constructor(SessionPayment payment_, NodePool pool_) {
        payment = payment_;
        pool = pool_;
    }

    function _finish(uint256 sessionId, uint256 taskId, Task storage task, Board board) internal {
        task.board = board.withStage(TaskStatus.Ended);
        emit TaskEnded(sessionId, taskId, _minersBetween(task, board, TaskStatus.Committed, TaskStatus.Ended));
    }

    /// @dev Settles a task without paying any miner.
    function _refund(uint256 sessionId, uint256 taskId, Task storage task, Board board) internal {
        payment.settle(
            _holding(sessionId, taskId, _planOf(sessionId, task, board), board), 0, new Mark[](0)
        );
    }

    function _holding(uint256 sessionId, uint256 taskId, uint256 plan, Board board)
        internal
        pure
        returns (Holding memory)
    {
        return Holding(
            sessionId,
            taskId,
            _priceIdIn(plan),
            _redundancyIn(plan),
            board.maxInputTokens(),
            uint256(uint160(plan)).maxTokens()
        );
    }

    /// @dev Gives a place to a miner, which has not acted on the task yet.
    function _place(Task storage task, Board board, uint256 index, address miner, bool later)
        internal
        returns (Board)
    {
        uint256 number = _numberOf[miner];
        if (number == 0) number = _numbered(miner);
        return _withPart(task, board, index, Parts.placed(number, later));
    }

    /// @dev A miner gets a number only with its first place, which requires a stake. So an account that registers many
    ///      nodes does not use up numbers.
    function _numbered(address miner) private returns (uint256 number) {
        number = ++_minerCount;
        if (number > Parts.MAX_NUMBER) revert TooManyMiners(Parts.MAX_NUMBER);
        _numberOf[miner] = number;
        _minerOf[number] = miner;
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

    function _partNotReady(Part part) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(PartNotReady.selector, part.state());
    }

    function _late(uint256 deadline) internal view returns (bytes memory) {
        return abi.encodeWithSelector(TooLate.selector, block.timestamp, deadline);
    }

    function _early(uint256 deadline) internal view returns (bytes memory) {
        return abi.encodeWithSelector(TooEarly.selector, block.timestamp, deadline);
    }
}
