// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Board, NOWHERE, Part, Parts, PART_BITS, PART_MASK, PARTS_A_WORD, PARTS_ON_BOARD} from "./Board.sol";
import {ContentAddress} from "../common/ContentAddress.sol";
import {TaskTerms} from "./TaskTerms.sol";
import {MAX_REDUNDANCY, TaskStatus} from "./TaskTypes.sol";

/// @dev The number of words for the MAX_REDUNDANCY - PARTS_ON_BOARD parts that do not fit on the board.
uint256 constant MORE_WORDS = 3;

/// @title The storage of tasks. TaskViews has the views of it.
abstract contract TaskLedger {
    using TaskTerms for uint256;

    /// @dev A task with up to three miners takes two words, and one more for each miner's result.
    ///      content: the digest in the content address of the task's data; for a plain text, its hash.
    ///      board: times, status, and the parts of up to three miners.
    ///      results: the precommitted hash. Once a content address is committed, the digest of the content replaces it,
    ///      and the hash can be computed from the digest again.
    ///      The other members are written only if they are needed: the parts of further miners; times that do not fit
    ///      into a part, 12 bits each, in seconds from the task's first assignment or, for commits, from the end of the
    ///      precommit phase; a plan that has no number in the session; the rest beyond the terms; plain texts.
    struct Task {
        bytes32 content;
        Board board;
        bytes32[MAX_REDUNDANCY] results;
        uint256[MORE_WORDS] moreParts;
        uint256 placedAfter;
        uint256 ackedAfter;
        uint256 committedAfter;
        uint256 ownPlan;
        bytes32 rest;
        string text;
        string promptTemplate;
        string[MAX_REDUNDANCY] resultTexts;
    }

    /// @dev Values that all tasks of a session share, written with its first task.
    struct SessionKey {
        bytes32 sid;
        uint256 modelIdentifier;
    }

    /// @dev The plans of a session's tasks, numbered from 0. A plan has the values that most tasks of a session share.
    ///      From the high bits down: redundancy 8, the number of the price in SessionPayment 16, the packed TaskTerms
    ///      without maxInputTokens 160. Plans never change.
    struct Plans {
        uint256 count;
        mapping(uint256 number => uint256) plans;
    }

    /// @dev `count` consecutive task numbers from `first` on.
    struct Run {
        uint64 first;
        uint64 count;
    }

    /// @dev The seconds in which a miner has to ack, but at most a quarter of the timeout. Also the least time in
    ///      which an oracle can choose the replacement of a late miner.
    uint256 public constant ACK_WINDOW = 10;
    uint256 public constant CHOICE_WINDOW = 5;
    /// @notice The seconds after the deadlines of the queue and of the precommit phase in which only an oracle can end
    ///         the stage. Late steps are accepted until the stage ends, so an outage of a relayer or of the chain
    ///         loses no answer. After the window, anyone can end the stage.
    uint256 public constant GRACE_WINDOW = 5 minutes;
    /// @notice The seconds for all reveals, and again for the verdict. Both stages end as soon as they are complete, so
    ///         this only limits how long an outage may last.
    uint256 public constant COMMIT_WINDOW = 1 hours;
    uint256 public constant VERDICT_WINDOW = 1 hours;

    /// @dev The number that stands for a plan stored with the task itself.
    uint256 internal constant OWN_PLAN = 255;
    /// @dev The number of the session's latest plans with which a new task's plan is compared.
    uint256 private constant PLANS_COMPARED = 4;
    uint256 private constant TIME_BITS = 12;

    mapping(uint256 sessionId => mapping(uint256 taskId => Task)) private _tasks;
    mapping(uint256 sessionId => SessionKey) internal _keys;
    mapping(uint256 sessionId => Plans) private _plans;
    /// @dev A session's task numbers in order of submission.
    mapping(uint256 sessionId => Run[]) internal _runs;
    /// @dev Miners that have ever had a place, by their numbers, which start at 1; and the numbers by miner.
    mapping(uint256 number => address) internal _minerOf;
    mapping(address miner => uint256) internal _numberOf;
    uint256 internal _minerCount;

    error TaskNotFound(uint256 sessionId, uint256 taskId);

    /// @dev See TaskViews.commitHash.
    function _commitHash(uint256 sessionId, uint256 taskId, address miner, string memory data)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(sessionId, taskId, miner, data));
    }

    /// @dev The commit hash of a result that is the content address of `digest`.
    function _commitHash(uint256 sessionId, uint256 taskId, address miner, bytes32 digest)
        internal
        pure
        returns (bytes32 hash)
    {
        return ContentAddress.hashWith(sessionId, taskId, miner, digest);
    }

    /// @dev The task's storage. It is empty if there is no such task.
    function _slot(uint256 sessionId, uint256 taskId) internal view returns (Task storage) {
        return _tasks[sessionId][taskId];
    }

    function _task(uint256 sessionId, uint256 taskId) internal view returns (Task storage task) {
        task = _tasks[sessionId][taskId];
        if (task.board.isEmpty()) revert TaskNotFound(sessionId, taskId);
    }

    /// @dev A number that is unique across all sessions and known before the task is on chain.
    function _globalId(uint256 sessionId, uint256 taskId) internal pure returns (uint256) {
        return (sessionId << 64) | taskId;
    }

    // ---------------------------------------------------------------- plans and terms

    /// @return number the number of `plan` among the session's plans; OWN_PLAN if the session has too many plans
    /// @return isFirst whether the session had no plan, and so no task, before
    function _numberOfPlan(uint256 sessionId, uint256 plan) internal returns (uint256 number, bool isFirst) {
        Plans storage known = _plans[sessionId];
        number = known.count;
        // No underflow: `i` is at most `number`.
        unchecked {
            for (uint256 i = 1; i <= PLANS_COMPARED && i <= number; ++i) {
                if (known.plans[number - i] == plan) return (number - i, false);
            }
        }
        if (number == OWN_PLAN) return (OWN_PLAN, false);
        known.plans[number] = plan;
        known.count = number + 1;
        isFirst = number == 0;
    }

    function _planOf(uint256 sessionId, Task storage task, Board board) internal view returns (uint256) {
        uint256 number = board.plan();
        return number == OWN_PLAN ? task.ownPlan : _plans[sessionId].plans[number];
    }

    function _packedPlan(uint256 terms, uint256 priceId, uint256 redundancy) internal pure returns (uint256) {
        return (redundancy << 176) | (priceId << 160) | terms.withoutMaxInputTokens();
    }

    function _redundancyIn(uint256 plan) internal pure returns (uint256) {
        return plan >> 176;
    }

    function _priceIdIn(uint256 plan) internal pure returns (uint256) {
        return (plan >> 160) & type(uint16).max;
    }

    function _terms(uint256 plan, Board board) internal pure returns (uint256) {
        return uint256(uint160(plan)).withMaxInputTokens(board.maxInputTokens());
    }

    function _timeoutOf(uint256 sessionId, Task storage task, Board board) internal view returns (uint256) {
        return _timeoutIn(_planOf(sessionId, task, board));
    }

    function _timeoutIn(uint256 plan) internal pure returns (uint256) {
        return uint256(uint160(plan)).timeout();
    }

    function _digestOf(uint256 sessionId, uint256 taskId, Task storage task, Board board)
        internal
        view
        returns (bytes32)
    {
        return _digestOf(sessionId, taskId, task, board, _planOf(sessionId, task, board));
    }

    function _digestOf(uint256 sessionId, uint256 taskId, Task storage task, Board board, uint256 plan)
        internal
        view
        returns (bytes32)
    {
        bytes32 rest = board.hasRest() ? task.rest : bytes32(0);
        return TaskTerms.digestOf(_keys[sessionId].sid, taskId, task.content, _terms(plan, board), rest);
    }

    function _appendId(uint256 sessionId, uint256 taskId) internal {
        Run[] storage runs = _runs[sessionId];
        uint256 length = runs.length;
        if (length != 0) {
            Run storage last = runs[length - 1];
            (uint64 first, uint64 count) = (last.first, last.count);
            // No overflow: task numbers are far below 2^64.
            unchecked {
                if (first + count == taskId) {
                    last.count = count + 1;
                    return;
                }
            }
        }
        runs.push(Run(uint64(taskId), 1));
    }

    // ---------------------------------------------------------------- parts

    /// @dev The part at index i; 0 for a free place.
    function _part(Task storage task, Board board, uint256 i) internal view returns (Part) {
        unchecked {
            if (i < PARTS_ON_BOARD) return Part.wrap(uint64((Board.unwrap(board) >> (i * PART_BITS)) & PART_MASK));
            i -= PARTS_ON_BOARD;
            uint256 word = task.moreParts[i / PARTS_A_WORD];
            return Part.wrap(uint64((word >> (i % PARTS_A_WORD * PART_BITS)) & PART_MASK));
        }
    }

    /// @dev Writes a part that is outside of the board. A part on the board is only set in the returned board.
    /// @return the board with the part, which the caller writes to storage
    function _withPart(Task storage task, Board board, uint256 i, Part part) internal returns (Board) {
        unchecked {
            if (i < PARTS_ON_BOARD) return Board.wrap(_withLane(Board.unwrap(board), i, part));
            i -= PARTS_ON_BOARD;
            uint256 place = i / PARTS_A_WORD;
            task.moreParts[place] = _withLane(task.moreParts[place], i % PARTS_A_WORD, part);
            return board;
        }
    }

    function _withLane(uint256 word, uint256 lane, Part part) private pure returns (uint256) {
        unchecked {
            uint256 shift = lane * PART_BITS;
            return (word & ~(PART_MASK << shift)) | (uint256(Part.unwrap(part)) << shift);
        }
    }

    /// @dev The time when a miner got its place, in seconds from the task's first assignment.
    function _placedAfter(Task storage task, uint256 i, Part part) internal view returns (uint256) {
        return part.cameLater() ? _timeIn(task.placedAfter, i) : 0;
    }

    function _timeIn(uint256 word, uint256 i) internal pure returns (uint256) {
        return (word >> (i * TIME_BITS)) & ((1 << TIME_BITS) - 1);
    }

    function _withTime(uint256 word, uint256 i, uint256 after_) internal pure returns (uint256) {
        uint256 shift = i * TIME_BITS;
        return (word & ~(((1 << TIME_BITS) - 1) << shift)) | (after_ << shift);
    }

    // ---------------------------------------------------------------- results
    // For an element of a list, the compiler assumes that it shares its word with others: it reads the word before a
    // write, and shifts what it reads. These elements are whole words, and a miner's place is within the list, so the
    // functions below access the words directly.

    function _result(Task storage task, uint256 i) internal view returns (bytes32 result) {
        bytes32[MAX_REDUNDANCY] storage results = task.results;
        assembly ("memory-safe") {
            result := sload(add(results.slot, i))
        }
    }

    function _keepResult(Task storage task, uint256 i, bytes32 result) internal {
        bytes32[MAX_REDUNDANCY] storage results = task.results;
        assembly ("memory-safe") {
            sstore(add(results.slot, i), result)
        }
    }

    // ---------------------------------------------------------------- finding and counting parts

    /// @dev Examines all parts.
    /// @return index the miner's place, NOWHERE if it has none
    /// @return placed the number of miners with a place
    /// @return precommitted the number of miners that have precommitted
    /// @return committed the number of miners that have revealed
    function _survey(Task storage task, Board board, address miner)
        internal
        view
        returns (uint256 index, uint256 placed, uint256 precommitted, uint256 committed)
    {
        uint256 number = _numberOf[miner];
        (index, placed, precommitted, committed) = Parts.survey(board.lanes(), number);
        if (!board.hasMoreParts()) return (index, placed, precommitted, committed);
        for (uint256 word; word < MORE_WORDS; ++word) {
            (uint256 lane, uint256 taken, uint256 precommits, uint256 commits) =
                Parts.survey(task.moreParts[word], number);
            if (lane != NOWHERE) index = placed + lane;
            (placed, precommitted, committed) = (placed + taken, precommitted + precommits, committed + commits);
        }
    }

    function _find(Task storage task, Board board, address miner) internal view returns (bool, uint256) {
        uint256 index = Parts.laneOf(board.lanes(), _numberOf[miner]);
        if (index == NOWHERE && board.hasMoreParts()) (index,,,) = _survey(task, board, miner);
        return (index != NOWHERE, index);
    }

    /// @dev The numbers of miners that have a place, have precommitted, and have revealed.
    function _count(Task storage task, Board board)
        internal
        view
        returns (uint256 placed, uint256 precommitted, uint256 committed)
    {
        (, placed, precommitted, committed) = _survey(task, board, address(0));
    }

    /// @dev The miners whose part has reached at least `state`.
    function _minersFrom(Task storage task, TaskStatus state) internal view returns (address[] memory) {
        return _minersBetween(task, task.board, state, TaskStatus.Ended);
    }

    /// @dev The miners whose part has reached at least `state`, but not `limit`.
    function _minersBetween(Task storage task, Board board, TaskStatus state, TaskStatus limit)
        internal
        view
        returns (address[] memory miners)
    {
        // Reserve memory for all miners, and release what is not needed.
        assembly ("memory-safe") {
            miners := mload(0x40)
        }
        uint256 kept = _gather(miners, 0, board.lanes(), state, limit);
        if (board.hasMoreParts()) {
            for (uint256 word; word < MORE_WORDS; ++word) {
                kept = _gather(miners, kept, task.moreParts[word], state, limit);
            }
        }
        assembly ("memory-safe") {
            mstore(miners, kept)
            mstore(0x40, add(miners, shl(5, add(kept, 1))))
        }
    }

    /// @dev Adds the matching miners of one word to the list. The memory after the list must be free.
    /// @return the new number of miners in the list
    function _gather(address[] memory miners, uint256 kept, uint256 lanes, TaskStatus state, TaskStatus limit)
        private
        view
        returns (uint256)
    {
        unchecked {
            for (; lanes != 0; lanes >>= PART_BITS) {
                Part part = Part.wrap(uint64(lanes & PART_MASK));
                uint256 reached = part.reached();
                if (reached < uint256(state) || reached >= uint256(limit)) continue;
                address miner = _minerOf[part.number()];
                ++kept;
                assembly ("memory-safe") {
                    mstore(add(miners, shl(5, kept)), miner)
                }
            }
            return kept;
        }
    }

    // ---------------------------------------------------------------- deadlines

    function _queueDeadline(Board board, uint256 timeout) internal pure returns (uint256) {
        return board.createdAt() + timeout;
    }

    function _precommitDeadline(Board board, uint256 timeout) internal pure returns (uint256) {
        return board.assignedAt() + timeout;
    }
}
