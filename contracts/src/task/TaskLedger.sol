// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Board, NOWHERE, Part, Parts, PART_BITS, PART_MASK, PARTS_A_WORD, PARTS_ON_BOARD} from "./Board.sol";
import {ContentAddress} from "../common/ContentAddress.sol";
import {TaskTerms} from "./TaskTerms.sol";
import {MAX_REDUNDANCY, TaskStatus} from "./TaskTypes.sol";

/// @dev Words for the parts that the board has no room for: MAX_REDUNDANCY - PARTS_ON_BOARD of them.
uint256 constant MORE_WORDS = 3;

/// @title How tasks are kept. TaskViews reads them out.
abstract contract TaskLedger {
    using TaskTerms for uint256;

    /// @dev A task with up to three miners is two words, and one more for each miner's result.
    ///      content: the digest that the task's data addresses or, of a plain text, its hash.
    ///      board: times, status, up to three miners' parts.
    ///      results: the precommitted hash; once a content address is committed, the digest of the content
    ///      instead, from which the hash can be computed again.
    ///      The others are written only where there is something to say: the parts of more miners; times that
    ///      a part has no room for, 12 bits a place, in seconds from the task's first assignment or, of commits,
    ///      from the end of the precommit phase; a plan that the session has no number for; what the terms do
    ///      not say; plain texts.
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

    /// @dev What all tasks of a session share: written with its first task.
    struct SessionKey {
        bytes32 sid;
        uint256 modelIdentifier;
    }

    /// @dev The plans of a session's tasks, numbered from 0: what most of its tasks share. From the high bits
    ///      down: redundancy 8, the price's number in SessionPayment 16, the packed TaskTerms without
    ///      maxInputTokens 160. Never changed.
    struct Plans {
        uint256 count;
        mapping(uint256 number => uint256) plans;
    }

    /// @dev Task numbers `first`, `first + 1`, …: `count` of them.
    struct Run {
        uint64 first;
        uint64 count;
    }

    /// @dev Seconds a miner has for its ack, though no more than a quarter of the timeout; an oracle for its
    ///      choice of a late miner's successor, at least.
    uint256 public constant ACK_WINDOW = 10;
    uint256 public constant CHOICE_WINDOW = 5;
    /// @notice Seconds after the queue's deadline, and after the precommits', in which only an oracle can end the
    ///         stage. What is late is accepted until the stage ends: a relayer or a chain that was away costs
    ///         nobody an answer. Afterwards anyone can end it.
    uint256 public constant GRACE_WINDOW = 5 minutes;
    /// @notice Seconds that all miners have for revealing, and then the validators for judging. Both stages end by
    ///         themselves when all is there, so these only say how long an outage may last.
    uint256 public constant COMMIT_WINDOW = 1 hours;
    uint256 public constant VERDICT_WINDOW = 1 hours;

    /// @dev The number of a plan that is the task's own.
    uint256 internal constant OWN_PLAN = 255;
    /// @dev How many of the session's latest plans a new task's is compared with.
    uint256 private constant PLANS_COMPARED = 4;
    uint256 private constant TIME_BITS = 12;

    mapping(uint256 sessionId => mapping(uint256 taskId => Task)) private _tasks;
    mapping(uint256 sessionId => SessionKey) internal _keys;
    mapping(uint256 sessionId => Plans) private _plans;
    /// @dev Task numbers in order of submission.
    mapping(uint256 sessionId => Run[]) internal _runs;
    /// @dev The miners that have had a place, by their numbers, which count from 1, and back.
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

    /// @dev The same for the content address of `digest`.
    function _commitHash(uint256 sessionId, uint256 taskId, address miner, bytes32 digest)
        internal
        pure
        returns (bytes32 hash)
    {
        return ContentAddress.hashWith(sessionId, taskId, miner, digest);
    }

    /// @dev The task's place in storage, taken or not.
    function _slot(uint256 sessionId, uint256 taskId) internal view returns (Task storage) {
        return _tasks[sessionId][taskId];
    }

    function _task(uint256 sessionId, uint256 taskId) internal view returns (Task storage task) {
        task = _tasks[sessionId][taskId];
        if (task.board.isEmpty()) revert TaskNotFound(sessionId, taskId);
    }

    /// @dev Unique over all sessions, and known before the task is on chain.
    function _globalId(uint256 sessionId, uint256 taskId) internal pure returns (uint256) {
        return (sessionId << 64) | taskId;
    }

    // ---------------------------------------------------------------- plans and terms

    /// @return number of the session's plan that is `plan`; OWN_PLAN when there are too many
    /// @return isFirst whether the session had none before, nor a task
    function _numberOfPlan(uint256 sessionId, uint256 plan) internal returns (uint256 number, bool isFirst) {
        Plans storage known = _plans[sessionId];
        number = known.count;
        // Fits: a number is looked at only where there is one.
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
            // Fits: task numbers are far below 2^64.
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

    /// @dev The i-th miner's part; 0 for a free place.
    function _part(Task storage task, Board board, uint256 i) internal view returns (Part) {
        unchecked {
            if (i < PARTS_ON_BOARD) return Part.wrap(uint64((Board.unwrap(board) >> (i * PART_BITS)) & PART_MASK));
            i -= PARTS_ON_BOARD;
            uint256 word = task.moreParts[i / PARTS_A_WORD];
            return Part.wrap(uint64((word >> (i % PARTS_A_WORD * PART_BITS)) & PART_MASK));
        }
    }

    /// @return the board with the part, which the caller writes; parts beyond it are written here
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

    /// @dev When a miner got its place, in seconds from the task's first assignment.
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
    // An element of a list is taken for one of several in its word: the compiler would read the word to write it, and
    // shift what it reads. These are words of their own, and a miner's place is within the list.

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

    // ---------------------------------------------------------------- looking for parts

    /// @dev One look at all parts.
    /// @return index the miner's place, NOWHERE when it has none
    /// @return placed how many miners have a place
    /// @return precommitted how many have precommitted
    /// @return committed how many have revealed
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

    /// @dev How many miners have a place, have precommitted, have revealed.
    function _count(Task storage task, Board board)
        internal
        view
        returns (uint256 placed, uint256 precommitted, uint256 committed)
    {
        (, placed, precommitted, committed) = _survey(task, board, address(0));
    }

    /// @dev The miners whose part has come at least as far as `state`.
    function _minersFrom(Task storage task, TaskStatus state) internal view returns (address[] memory) {
        return _minersBetween(task, task.board, state, TaskStatus.Ended);
    }

    /// @dev Those of them whose part has not come as far as `limit`.
    function _minersBetween(Task storage task, Board board, TaskStatus state, TaskStatus limit)
        internal
        view
        returns (address[] memory miners)
    {
        // Room for all; what is not needed is given back.
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

    /// @dev Adds to the list those of a word's miners; the memory behind it is free.
    /// @return how many are on it now
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
