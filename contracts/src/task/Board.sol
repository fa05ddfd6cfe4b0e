// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {TaskStatus} from "./TaskTypes.sol";

/// @notice The state of a task and of its miners, in one word that each step reads once and writes once.
/// @dev From the high bits down:
///      createdAt 32: seconds since 1970; never 0, so a board of 0 means that there is no task;
///      plan 8: the number of the task's plan among the session's plans (see TaskLedger);
///      isText 1: whether its data is a plain text; hasRest 1: whether it has more than its packed terms;
///      maxInputTokens 20: the only term that differs between most tasks of a session;
///      status 3; judged 1: whether a verdict ended it;
///      assignedAfter 12: seconds from `createdAt` to the first assignment, at most MAX_TIMEOUT + GRACE_WINDOW;
///      phaseAfter 16: seconds from the assignment to the end of the precommit phase, at most 65,535;
///      stageAfter 26: seconds from `createdAt` to the time when the status became Precommitted, Committed or Ended,
///      at most two years;
///      hasMoreParts 1: whether there are more than three parts;
///      then the parts of the first three miners, 45 bits each, the first miner's lowest.
type Board is uint256;

/// @notice One miner's part in a task.
/// @dev From the high bits down:
///      number 22: the miner's number, 0 for a free place;
///      later 1: whether the miner replaced another one; TaskLedger stores when;
///      ackedItself 1: whether the miner acked before it precommitted; TaskLedger stores when;
///      state 2: assigned, acked, precommitted, committed;
///      precommittedAfter 12: seconds from the task's first assignment;
///      committedAfter 6: seconds from the end of the precommit phase; LATER_COMMIT if TaskLedger stores them.
///      The time of a precommit fits, since none is accepted more than MAX_TIMEOUT + GRACE_WINDOW = 3900 seconds after
///      the first assignment. Most commits arrive within the first minute of their phase.
type Part is uint64;

using Boards for Board global;
using Parts for Part global;

/// @dev The number of parts on the board. The others are in separate words, PARTS_A_WORD in each.
uint256 constant PARTS_ON_BOARD = 3;
uint256 constant PARTS_A_WORD = 5;
uint256 constant PART_BITS = 45;
uint256 constant PART_MASK = (1 << PART_BITS) - 1;
/// @dev Returned as the place of a miner that has no place.
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

    /// @dev Whether there are parts outside of the board. Most tasks have none, and so need not read those words.
    function hasMoreParts(Board board) internal pure returns (bool) {
        return (Board.unwrap(board) >> MORE) & 1 == 1;
    }

    /// @dev The parts on the board, the first part in the lowest lane.
    function lanes(Board board) internal pure returns (uint256) {
        return Board.unwrap(board) & ((1 << MORE) - 1);
    }

    function status(Board board) internal pure returns (TaskStatus) {
        return TaskStatus((Board.unwrap(board) >> STATUS) & 7);
    }

    function judged(Board board) internal pure returns (bool) {
        return (Board.unwrap(board) >> JUDGED) & 1 == 1;
    }

    /// @dev The time of the task's first assignment.
    function assignedAt(Board board) internal pure returns (uint256) {
        unchecked {
            return createdAt(board) + ((Board.unwrap(board) >> ASSIGNED) & 0xfff);
        }
    }

    /// @dev The time when the precommit phase ended; at most 18 hours after the assignment.
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

    /// @dev Records that the first assignment is now, and its number of miners.
    function withAssignment(Board board, uint256 miners) internal view returns (Board) {
        uint256 after_ = block.timestamp - createdAt(board);
        uint256 more = miners > PARTS_ON_BOARD ? 1 << MORE : 0;
        return Board.wrap(Board.unwrap(withStatus(board, TaskStatus.Assigned)) | (after_ << ASSIGNED) | more);
    }

    /// @dev Sets the status, and the current time as the time of the change.
    function withStage(Board board, TaskStatus status_) internal view returns (Board) {
        uint256 after_ = block.timestamp - createdAt(board);
        if (after_ > MAX_STAGE) after_ = MAX_STAGE;
        uint256 rest = Board.unwrap(withStatus(board, status_)) & ~(MAX_STAGE << STAGE);
        return Board.wrap(rest | (after_ << STAGE));
    }

    /// @dev Records that the precommit phase ends now.
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
    /// @dev The value for commits that arrive this many seconds after the end of the precommit phase, or later.
    uint256 internal constant LATER_COMMIT = 0x3f;

    uint256 private constant NUMBER = 22;
    uint256 private constant LATER = 21;
    uint256 private constant ACKED = 20;
    uint256 private constant STATE = 18;
    uint256 private constant PRECOMMITTED = 6;
    /// @dev The lowest bit of every lane of a word, and the position of the highest lane in a product.
    uint256 private constant EVERY_LANE = (1 << 180) | (1 << 135) | (1 << 90) | (1 << 45) | 1;
    uint256 private constant LAST_LANE = (PARTS_A_WORD - 1) * PART_BITS;
    /// @dev Multiplied by a lane's lowest bit, it gives a word whose last lane holds that lane's index plus one.
    uint256 private constant INDEXES = (1 << 180) | (2 << 135) | (3 << 90) | (4 << 45) | 5;
    uint256 private constant NUMBERS = EVERY_LANE * MAX_NUMBER;

    /// @dev Examines all parts of a word, at most PARTS_A_WORD, which start in the lowest lane. It examines them
    ///      together, without a loop, since every step of a task needs this.
    /// @param number_ the number of the miner to find
    /// @return index the miner's lane, NOWHERE if it has none
    /// @return taken the number of lanes that are not free
    /// @return precommitted the number of miners that have precommitted
    /// @return committed the number of miners that have revealed
    function survey(uint256 lanes, uint256 number_)
        internal
        pure
        returns (uint256 index, uint256 taken, uint256 precommitted, uint256 committed)
    {
        unchecked {
            // One bit per lane. Multiplied by EVERY_LANE, the last lane holds their sum.
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

    /// @return the miner's lane, NOWHERE if it has none
    function laneOf(uint256 lanes, uint256 number_) internal pure returns (uint256) {
        uint256 numbers = (lanes >> NUMBER) & NUMBERS;
        return _laneOf(numbers, _unlikeZero(numbers), number_);
    }

    /// @dev A miner has at most one place, and a number of at most MAX_NUMBER. The number 0 marks free places, which
    ///      are not examined.
    function _laneOf(uint256 numbers, uint256 places, uint256 number_) private pure returns (uint256) {
        unchecked {
            uint256 its = places & ~_unlikeZero(numbers ^ (number_ * EVERY_LANE));
            return ((its * INDEXES) >> LAST_LANE & PART_MASK) - 1;
        }
    }

    /// @dev One bit per lane: whether its number is not 0. If so, the sum carries into the bit above the number.
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

    /// @dev Never Ended: the task records whether its results are judged.
    function state(Part part) internal pure returns (TaskStatus) {
        return isFree(part) ? TaskStatus.Queued : TaskStatus(reached(part));
    }

    /// @dev The state as a number. The part must not be free.
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

    /// @dev Records a commit. The part must be precommitted.
    /// @param after_ at most LATER_COMMIT
    function withCommit(Part part, uint256 after_) internal pure returns (Part) {
        return Part.wrap(Part.unwrap(part) | uint64(1 << STATE) | uint64(after_));
    }
}
