// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {TaskStatus} from "./TaskTypes.sol";

/// @notice How far a task has come and with whom, in the one word that its steps read once and write once.
/// @dev From the high bits down:
///      createdAt 32: seconds since 1970; never 0, so that a board of 0 is no task;
///      plan 8: which of the session's plans the task has (see TaskLedger);
///      isText 1: whether its data is a plain text; hasRest 1: whether it says more than its terms;
///      maxInputTokens 20: the one term that differs from task to task;
///      status 3; judged 1: whether a verdict ended it;
///      assignedAfter 12: seconds from `createdAt` to the first assignment, at most MAX_TIMEOUT + GRACE_WINDOW;
///      phaseAfter 16: seconds from the assignment to the end of the precommit phase, 65,535 when later;
///      stageAfter 26: seconds from `createdAt` to when the status became Precommitted, Committed or Ended; two
///      years when later;
///      hasMoreParts 1: whether there are more than three; then the parts of the first three miners, 45 bits
///      each, the first one's lowest.
type Board is uint256;

/// @notice One miner's part in a task.
/// @dev From the high bits down:
///      number 22: the miner's, 0 for a free place;
///      later 1: whether it was put there in place of another: TaskLedger keeps when;
///      ackedItself 1: whether it acked before it precommitted: TaskLedger keeps when;
///      state 2: assigned, acked, precommitted, committed;
///      precommittedAfter 12: seconds from the task's first assignment;
///      committedAfter 6: seconds from the end of the precommit phase; LATER_COMMIT when TaskLedger keeps them.
///      A precommit fits because none comes more than MAX_TIMEOUT + GRACE_WINDOW = 3900 seconds after the first
///      assignment. Most commits come within a minute of their phase's beginning.
type Part is uint64;

using Boards for Board global;
using Parts for Part global;

/// @dev How many parts are on the board; the others are in words of their own, PARTS_A_WORD each.
uint256 constant PARTS_ON_BOARD = 3;
uint256 constant PARTS_A_WORD = 5;
uint256 constant PART_BITS = 45;
uint256 constant PART_MASK = (1 << PART_BITS) - 1;
/// @dev The place of a miner that has none.
uint256 constant NOWHERE = type(uint256).max;

library Boards {
    uint256 internal constant MAX_INPUT_TOKENS_BITS = 20;

    uint256 private constant MORE = PARTS_ON_BOARD * PART_BITS;
    uint256 private constant STAGE = 136;
    uint256 private constant PHASE = 162;
    uint256 private constant ASSIGNED = 178;
    uint256 private constant JUDGED = 190;
    uint256 private constant STATUS = 191;
    uint256 private constant INPUT = 194;
    uint256 private constant REST = 214;
    uint256 private constant TEXT = 215;
    uint256 private constant PLAN = 216;
    uint256 private constant CREATED = 224;
    uint256 private constant MAX_PHASE = type(uint16).max;
    uint256 private constant MAX_STAGE = (1 << 26) - 1;

    /// @dev The board of a task that is queued now. Session has checked that the values fit.
    function opened(uint256 plan_, bool isText_, bool hasRest_, uint256 maxInputTokens_) internal view returns (Board) {
        return Board.wrap(
            (block.timestamp << CREATED) | (plan_ << PLAN) | (isText_ ? 1 << TEXT : 0) | (hasRest_ ? 1 << REST : 0)
                | (maxInputTokens_ << INPUT)
        );
    }

    function isEmpty(Board board) internal pure returns (bool) {
        return Board.unwrap(board) == 0;
    }

    function createdAt(Board board) internal pure returns (uint256) {
        return Board.unwrap(board) >> CREATED;
    }

    function plan(Board board) internal pure returns (uint256) {
        return (Board.unwrap(board) >> PLAN) & type(uint8).max;
    }

    function isText(Board board) internal pure returns (bool) {
        return (Board.unwrap(board) >> TEXT) & 1 == 1;
    }

    function hasRest(Board board) internal pure returns (bool) {
        return (Board.unwrap(board) >> REST) & 1 == 1;
    }

    function maxInputTokens(Board board) internal pure returns (uint256) {
        return (Board.unwrap(board) >> INPUT) & ((1 << MAX_INPUT_TOKENS_BITS) - 1);
    }

    /// @dev Whether parts are kept beside the board: most tasks have none, and spare reading that word.
    function hasMoreParts(Board board) internal pure returns (bool) {
        return (Board.unwrap(board) >> MORE) & 1 == 1;
    }

    /// @dev The parts on the board, the first one's lane lowest.
    function lanes(Board board) internal pure returns (uint256) {
        return Board.unwrap(board) & ((1 << MORE) - 1);
    }

    function status(Board board) internal pure returns (TaskStatus) {
        return TaskStatus((Board.unwrap(board) >> STATUS) & 7);
    }

    function judged(Board board) internal pure returns (bool) {
        return (Board.unwrap(board) >> JUDGED) & 1 == 1;
    }

    /// @dev The task's first assignment.
    function assignedAt(Board board) internal pure returns (uint256) {
        unchecked {
            return createdAt(board) + ((Board.unwrap(board) >> ASSIGNED) & 0xfff);
        }
    }

    /// @dev When the precommit phase ended; at most 18 hours after the assignment.
    function phaseEnd(Board board) internal pure returns (uint256) {
        unchecked {
            return assignedAt(board) + ((Board.unwrap(board) >> PHASE) & MAX_PHASE);
        }
    }

    function stageAt(Board board) internal pure returns (uint256) {
        unchecked {
            return createdAt(board) + ((Board.unwrap(board) >> STAGE) & MAX_STAGE);
        }
    }

    function withStatus(Board board, TaskStatus status_) internal pure returns (Board) {
        return Board.wrap((Board.unwrap(board) & ~(uint256(7) << STATUS)) | (uint256(status_) << STATUS));
    }

    /// @dev The first assignment is now, of so many miners.
    function withAssignment(Board board, uint256 miners) internal view returns (Board) {
        uint256 after_ = block.timestamp - createdAt(board);
        uint256 more = miners > PARTS_ON_BOARD ? 1 << MORE : 0;
        return Board.wrap(Board.unwrap(withStatus(board, TaskStatus.Assigned)) | (after_ << ASSIGNED) | more);
    }

    /// @dev The status, which it has from now on.
    function withStage(Board board, TaskStatus status_) internal view returns (Board) {
        uint256 after_ = block.timestamp - createdAt(board);
        if (after_ > MAX_STAGE) after_ = MAX_STAGE;
        uint256 rest = Board.unwrap(withStatus(board, status_)) & ~(MAX_STAGE << STAGE);
        return Board.wrap(rest | (after_ << STAGE));
    }

    /// @dev The precommit phase ends now.
    function withPhaseOver(Board board) internal view returns (Board) {
        uint256 after_ = block.timestamp - assignedAt(board);
        if (after_ > MAX_PHASE) after_ = MAX_PHASE;
        return Board.wrap(Board.unwrap(withStage(board, TaskStatus.Precommitted)) | (after_ << PHASE));
    }

    function withJudged(Board board) internal pure returns (Board) {
        return Board.wrap(Board.unwrap(board) | (1 << JUDGED));
    }
}

library Parts {
    uint256 private constant NUMBER_BITS = 22;
    uint256 internal constant MAX_NUMBER = (1 << NUMBER_BITS) - 1;
    /// @dev Of commits that come so many seconds after the end of the precommit phase, or more.
    uint256 internal constant LATER_COMMIT = 0x3f;

    uint256 private constant NUMBER = 22;
    uint256 private constant LATER = 21;
    uint256 private constant ACKED = 20;
    uint256 private constant STATE = 18;
    uint256 private constant PRECOMMITTED = 6;
    /// @dev The lowest bit of every lane of a word, and where a product's highest lane begins.
    uint256 private constant EVERY_LANE = (1 << 180) | (1 << 135) | (1 << 90) | (1 << 45) | 1;
    uint256 private constant LAST_LANE = (PARTS_A_WORD - 1) * PART_BITS;
    /// @dev Times a lane's lowest bit, the last lane holds that lane's index and one.
    uint256 private constant INDEXES = (1 << 180) | (2 << 135) | (3 << 90) | (4 << 45) | 5;
    uint256 private constant NUMBERS = EVERY_LANE * MAX_NUMBER;

    /// @dev A look at all parts of a word, at most PARTS_A_WORD, given from the lowest lane on. They are looked at
    ///      together, without a loop, since every step of a task does so.
    /// @param number_ the miner that is sought
    /// @return index its lane, NOWHERE when it has none
    /// @return taken how many lanes are not free
    /// @return precommitted how many have precommitted
    /// @return committed how many have revealed
    function survey(uint256 lanes, uint256 number_)
        internal
        pure
        returns (uint256 index, uint256 taken, uint256 precommitted, uint256 committed)
    {
        unchecked {
            // One bit a lane; times EVERY_LANE, the last lane holds their sum.
            uint256 precommits = (lanes >> (STATE + 1)) & EVERY_LANE;
            uint256 commits = (lanes >> STATE) & precommits;
            precommitted = (precommits * EVERY_LANE) >> LAST_LANE & PART_MASK;
            committed = (commits * EVERY_LANE) >> LAST_LANE & PART_MASK;
            uint256 numbers = (lanes >> NUMBER) & NUMBERS;
            uint256 places = _unlikeZero(numbers);
            taken = (places * EVERY_LANE) >> LAST_LANE & PART_MASK;
            index = _laneOf(numbers, places, number_);
        }
    }

    /// @return the miner's lane, NOWHERE when it has none
    function laneOf(uint256 lanes, uint256 number_) internal pure returns (uint256) {
        uint256 numbers = (lanes >> NUMBER) & NUMBERS;
        return _laneOf(numbers, _unlikeZero(numbers), number_);
    }

    /// @dev A miner has one place at most, and a number of at most MAX_NUMBER. A number of 0 is that of free places,
    ///      which are not looked at.
    function _laneOf(uint256 numbers, uint256 places, uint256 number_) private pure returns (uint256) {
        unchecked {
            uint256 its = places & ~_unlikeZero(numbers ^ (number_ * EVERY_LANE));
            return ((its * INDEXES) >> LAST_LANE & PART_MASK) - 1;
        }
    }

    /// @dev One bit a lane: whether its number is not 0. Then the sum carries into the bit above the number.
    function _unlikeZero(uint256 numbers) private pure returns (uint256) {
        unchecked {
            return ((numbers + NUMBERS) >> NUMBER_BITS) & EVERY_LANE;
        }
    }

    function placed(uint256 number_, bool later) internal pure returns (Part) {
        return Part.wrap(uint64((number_ << NUMBER) | (later ? 1 << LATER : 0)));
    }

    function number(Part part) internal pure returns (uint256) {
        return Part.unwrap(part) >> NUMBER;
    }

    function isFree(Part part) internal pure returns (bool) {
        return Part.unwrap(part) == 0;
    }

    function cameLater(Part part) internal pure returns (bool) {
        return (Part.unwrap(part) >> LATER) & 1 == 1;
    }

    function ackedItself(Part part) internal pure returns (bool) {
        return (Part.unwrap(part) >> ACKED) & 1 == 1;
    }

    /// @dev Ended is not among them: that a result is judged, the task knows.
    function state(Part part) internal pure returns (TaskStatus) {
        return isFree(part) ? TaskStatus.Queued : TaskStatus(reached(part));
    }

    /// @dev The same as a number, of a part that is not free.
    function reached(Part part) internal pure returns (uint256) {
        unchecked {
            return uint256(TaskStatus.Assigned) + ((Part.unwrap(part) >> STATE) & 3);
        }
    }

    function hasAcked(Part part) internal pure returns (bool) {
        return (Part.unwrap(part) >> STATE) & 3 != 0;
    }

    function hasPrecommitted(Part part) internal pure returns (bool) {
        return (Part.unwrap(part) >> STATE) & 2 != 0;
    }

    function hasCommitted(Part part) internal pure returns (bool) {
        return (Part.unwrap(part) >> STATE) & 3 == 3;
    }

    function precommittedAfter(Part part) internal pure returns (uint256) {
        return (Part.unwrap(part) >> PRECOMMITTED) & 0xfff;
    }

    function committedAfter(Part part) internal pure returns (uint256) {
        return Part.unwrap(part) & LATER_COMMIT;
    }

    function withAck(Part part) internal pure returns (Part) {
        return Part.wrap(Part.unwrap(part) | uint64(1 << ACKED) | uint64(1 << STATE));
    }

    function withPrecommit(Part part, uint256 after_) internal pure returns (Part) {
        uint64 others = Part.unwrap(part) & ~uint64(3 << STATE);
        return Part.wrap(others | uint64(2 << STATE) | uint64(after_ << PRECOMMITTED));
    }

    /// @dev Of a part that has precommitted.
    /// @param after_ at most LATER_COMMIT
    function withCommit(Part part, uint256 after_) internal pure returns (Part) {
        return Part.wrap(Part.unwrap(part) | uint64(1 << STATE) | uint64(after_));
    }
}
