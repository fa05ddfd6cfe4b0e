// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Part, Progress} from "./Lanes.sol";
import {TaskTerms} from "./TaskTerms.sol";
import {MAX_REDUNDANCY, TaskStatus} from "./TaskTypes.sol";

/// @title How tasks are kept. TaskViews reads them out.
abstract contract TaskLedger {
    using TaskTerms for uint256;
    using Progress for uint64;
    using Part for uint64;

    /// @dev A task with up to three miners is three words, and one more for each miner's result.
    ///      Word 0: the digest that the task's data addresses or, of a plain text, its hash.
    ///      Word 1, 256 bits, never changed: times as seconds since 1970 (uint32 lasts until 2106), the running
    ///      number over all sessions, the price's number in SessionPayment, FLAG_…, the packed TaskTerms.
    ///      Lanes of 64 bits, four a word, from the low bits up: 0 is the task's Progress, 1 + i the i-th
    ///      miner's Part. They are all zero until the task is assigned. The first word, which the steps read
    ///      once and write once, is called the board.
    ///      Results: the precommitted hash; once a content address is committed, the digest of the content
    ///      instead, from which the hash can be computed again.
    ///      The others are written where FLAG_… says so, and for results in plain text.
    struct Task {
        bytes32 content;
        uint32 createdAt;
        uint32 globalId;
        uint16 priceId;
        uint8 redundancy;
        uint8 flags;
        uint160 terms;
        uint256[MAX_REDUNDANCY / 4 + 1] lanes;
        bytes32[MAX_REDUNDANCY] results;
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

    /// @dev Task numbers `first`, `first + 1`, …: `count` of them.
    struct Run {
        uint64 first;
        uint64 count;
    }

    /// @dev Seconds a miner has for its ack, though no more than a quarter of the timeout; an oracle for its
    ///      choice of a late miner's successor, at least; all miners for revealing; the validators for judging.
    uint256 public constant ACK_WINDOW = 10;
    uint256 public constant CHOICE_WINDOW = 5;
    uint256 public constant COMMIT_WINDOW = 60;
    uint256 public constant VERDICT_WINDOW = 60;

    /// @dev The task's data is a plain text.
    uint8 internal constant FLAG_TEXT = 1;
    /// @dev The task says more than its terms: see TaskTerms.restOf.
    uint8 internal constant FLAG_REST = 2;

    mapping(uint256 sessionId => mapping(uint256 taskId => Task)) private _tasks;
    mapping(uint256 sessionId => SessionKey) internal _keys;
    /// @dev Task numbers in order of submission.
    mapping(uint256 sessionId => Run[]) internal _runs;
    /// @dev The miners' addresses by their numbers in NodePool and back: those that have had a task.
    mapping(uint256 number => address) internal _minerOf;
    mapping(address miner => uint256) internal _numberOf;

    error TaskNotFound(uint256 sessionId, uint256 taskId);

    /// @dev See TaskViews.commitHash.
    function _commitHash(uint256 sessionId, uint256 taskId, address miner, string memory data)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(sessionId, taskId, miner, data));
    }

    /// @dev The task's place in storage, taken or not.
    function _slot(uint256 sessionId, uint256 taskId) internal view returns (Task storage) {
        return _tasks[sessionId][taskId];
    }

    function _task(uint256 sessionId, uint256 taskId) internal view returns (Task storage task) {
        task = _tasks[sessionId][taskId];
        if (task.createdAt == 0) revert TaskNotFound(sessionId, taskId);
    }

    function _digestOf(uint256 sessionId, uint256 taskId, Task storage task) internal view returns (bytes32) {
        bytes32 rest = task.flags & FLAG_REST == 0 ? bytes32(0) : task.rest;
        return TaskTerms.digestOf(_keys[sessionId].sid, taskId, task.content, task.terms, rest);
    }

    function _appendId(uint256 sessionId, uint256 taskId) internal {
        Run[] storage runs = _runs[sessionId];
        uint256 length = runs.length;
        if (length != 0) {
            Run storage last = runs[length - 1];
            if (last.first + last.count == taskId) {
                ++last.count;
                return;
            }
        }
        runs.push(Run(uint64(taskId), 1));
    }

    /// @dev The i-th miner's part; 0 for a free place.
    function _part(Task storage task, uint256 board, uint256 i) internal view returns (uint64) {
        unchecked {
            uint256 lane = i + 1;
            uint256 word = lane < 4 ? board : task.lanes[lane >> 2];
            return uint64(word >> ((lane & 3) << 6));
        }
    }

    /// @dev At most MAX_REDUNDANCY looks; a list would cost more to keep than this costs to search.
    function _find(Task storage task, uint256 board, address miner) internal view returns (bool, uint256) {
        uint256 number = _numberOf[miner];
        if (number == 0) return (false, 0);
        for (uint256 i; i < MAX_REDUNDANCY; ++i) {
            uint256 placed = _part(task, board, i).index();
            // Places are given from the first one on.
            if (placed == 0) break;
            if (placed == number) return (true, i);
        }
        return (false, 0);
    }

    /// @dev How many miners have a place, have precommitted, have revealed.
    function _count(Task storage task, uint256 board)
        internal
        view
        returns (uint256 placed, uint256 precommitted, uint256 committed)
    {
        for (; placed < MAX_REDUNDANCY; ++placed) {
            uint64 part = _part(task, board, placed);
            if (part == 0) break;
            if (part.precommitted() != 0) ++precommitted;
            if (part.committed() != 0) ++committed;
        }
    }

    /// @dev The miners whose part has come at least as far as `state`.
    function _minersFrom(Task storage task, TaskStatus state) internal view returns (address[] memory) {
        return _minersBetween(task, task.lanes[0], state, TaskStatus.Ended);
    }

    /// @dev Those of them whose part has not come as far as `limit`.
    function _minersBetween(Task storage task, uint256 board, TaskStatus state, TaskStatus limit)
        internal
        view
        returns (address[] memory miners)
    {
        miners = new address[](task.redundancy);
        uint256 kept;
        for (uint256 i; i < miners.length; ++i) {
            uint64 part = _part(task, board, i);
            if (part == 0) break;
            TaskStatus reached = part.state();
            if (reached >= state && reached < limit) miners[kept++] = _minerOf[part.index()];
        }
        assembly ("memory-safe") {
            mstore(miners, kept)
        }
    }

    function _queueDeadline(Task storage task) internal view returns (uint256) {
        return task.createdAt + uint256(task.terms).timeout();
    }

    function _precommitDeadline(Task storage task, uint64 progress) internal view returns (uint256) {
        return _queueDeadline(task) + progress.assignedAfter();
    }

    function _assignedAt(Task storage task, uint64 progress) internal view returns (uint256) {
        return task.createdAt + progress.assignedAfter();
    }

    /// @dev When the precommit phase ended; at most 18 hours after the assignment (see Progress).
    function _phaseEnd(Task storage task, uint64 progress) internal view returns (uint256) {
        return _assignedAt(task, progress) + progress.phaseAfter();
    }
}
