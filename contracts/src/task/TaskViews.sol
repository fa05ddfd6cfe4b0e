// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ContentAddress} from "../common/ContentAddress.sol";
import {Board, Part, Parts} from "./Board.sol";
import {NodeIds} from "../node/NodeIds.sol";
import {TaskLedger} from "./TaskLedger.sol";
import {TaskTerms} from "./TaskTerms.sol";
import {TaskDecoration, TaskStatus, TaskView} from "./TaskTypes.sol";

/// @title The published views of tasks.
abstract contract TaskViews is TaskLedger {
    using TaskTerms for uint256;

    /// @notice The number of a session's latest tasks that getMinersAtWork examines, and the most miners that it
    ///         returns.
    uint256 public constant TASKS_LOOKED_AT = 128;

    /// @notice The hash that a miner precommits. It contains the miner's address, so a copy is of no use to others.
    function commitHash(uint256 sessionId, uint256 taskId, address miner, string memory data)
        public
        pure
        returns (bytes32)
    {
        return _commitHash(sessionId, taskId, miner, data);
    }

    function taskDigestOf(uint256 sessionId, uint256 taskId) external view returns (bytes32) {
        Task storage task = _task(sessionId, taskId);
        return _digestOf(sessionId, taskId, task, task.board);
    }

    /// @notice The deadlines of a task's stages, in seconds since 1970; 0 for a stage that has not begun, and for the
    ///         verdict once the task has ended. After each of the first two deadlines, an oracle can end the stage, and
    ///         anyone can do so GRACE_WINDOW later. Late steps are accepted until the stage ends.
    function getTaskDeadlines(uint256 sessionId, uint256 taskId)
        external
        view
        returns (uint256 queueDeadline, uint256 precommitDeadline, uint256 commitDeadline, uint256 verdictDeadline)
    {
        Task storage task = _task(sessionId, taskId);
        Board board = task.board;
        TaskStatus status = board.status();
        uint256 timeout = _timeoutOf(sessionId, task, board);
        queueDeadline = _queueDeadline(board, timeout);
        if (!_part(task, board, 0).isFree()) precommitDeadline = _precommitDeadline(board, timeout);
        if (status >= TaskStatus.Precommitted) commitDeadline = board.phaseEnd() + COMMIT_WINDOW;
        if (status == TaskStatus.Committed) verdictDeadline = board.stageAt() + VERDICT_WINDOW;
    }

    function getTask(uint256 sessionId, uint256 taskId) public view returns (TaskView memory seen) {
        Task storage task = _task(sessionId, taskId);
        Board board = task.board;
        seen.id = taskId;
        seen.gid = _globalId(sessionId, taskId);
        seen.sessionId = sessionId;
        seen.data = _dataOf(task);
        seen.assignedMiners = _minersFrom(task, TaskStatus.Assigned);
        seen.status = uint8(board.status());
        seen.ended = board.status() == TaskStatus.Ended;
        seen.createdAt = board.createdAt();
        if (seen.ended) seen.finishedAt = board.stageAt();
        for (uint256 i; i < seen.assignedMiners.length; ++i) {
            uint256 precommitAt = _precommitAt(task, i);
            uint256 commitAt = _commitAt(task, i);
            if (precommitAt > seen.lastPrecommitAt) seen.lastPrecommitAt = precommitAt;
            if (commitAt > seen.lastCommitAt) seen.lastCommitAt = commitAt;
        }
    }

    function getTasksBySessionId(uint256 sessionId) external view returns (TaskView[] memory tasks) {
        uint256[] memory ids = _idsOf(sessionId);
        tasks = new TaskView[](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            tasks[i] = getTask(sessionId, ids[i]);
        }
    }

    function getTaskCountBySessionId(uint256 sessionId) public view returns (uint256 count) {
        Run[] storage runs = _runs[sessionId];
        for (uint256 i; i < runs.length; ++i) {
            count += runs[i].count;
        }
    }

    function getTaskCountBySessionIds(uint256[] calldata sessionIds) external view returns (uint256[] memory counts) {
        counts = new uint256[](sessionIds.length);
        for (uint256 i; i < sessionIds.length; ++i) {
            counts[i] = getTaskCountBySessionId(sessionIds[i]);
        }
    }

    /// @notice The data of the session's latest task; empty if it has none.
    function getLatestTask(uint256 sessionId) external view returns (string memory) {
        Run[] storage runs = _runs[sessionId];
        if (runs.length == 0) return "";
        Run storage last = runs[runs.length - 1];
        return _dataOf(_task(sessionId, last.first + last.count - 1));
    }

    /// @notice The number of the session's tasks. The published interface has two functions for it.
    function sessionTaskCount(uint256 sessionId) external view returns (uint256) {
        return getTaskCountBySessionId(sessionId);
    }

    /// @notice The miners with a place in one of the session's latest tasks that have not ended, without duplicates.
    function getMinersAtWork(uint256 sessionId) external view returns (address[] memory miners) {
        miners = new address[](TASKS_LOOKED_AT);
        uint256 kept;
        uint256 left = TASKS_LOOKED_AT;
        Run[] storage runs = _runs[sessionId];
        for (uint256 i = runs.length; i != 0 && left != 0; --i) {
            (uint256 first, uint256 count) = (runs[i - 1].first, runs[i - 1].count);
            for (; count != 0 && left != 0; --count) {
                kept = _addMinersOf(_slot(sessionId, first + count - 1), miners, kept);
                --left;
            }
        }
        assembly ("memory-safe") {
            mstore(miners, kept)
        }
    }

    function getTaskData(uint256 sessionId, uint256 taskId) external view returns (string memory) {
        return _dataOf(_task(sessionId, taskId));
    }

    /// @notice The task's data once a miner has acked it; empty before.
    function getTaskDataWithAcked(uint256 sessionId, uint256 taskId) external view returns (string memory) {
        return isAcked(sessionId, taskId) ? _dataOf(_task(sessionId, taskId)) : "";
    }

    function getTaskStatus(uint256 sessionId, uint256 taskId) external view returns (uint8) {
        return uint8(_task(sessionId, taskId).board.status());
    }

    /// @notice Whether any miner has acked the task.
    function isAcked(uint256 sessionId, uint256 taskId) public view returns (bool) {
        Task storage task = _task(sessionId, taskId);
        return _minersFrom(task, TaskStatus.Acked).length != 0;
    }

    function getTaskDecoration(uint256 sessionId, uint256 taskId) public view returns (TaskDecoration memory) {
        Task storage task = _task(sessionId, taskId);
        uint256 terms = _planOf(sessionId, task, task.board);
        return TaskDecoration({
            id: _globalId(sessionId, taskId),
            sessionId: sessionId,
            taskId: taskId,
            promptType: uint256(uint160(terms)).promptType(),
            promptTemplate: task.promptTemplate,
            maxTokens: terms.maxTokens(),
            temperature: terms.temperature(),
            topP: terms.topP(),
            topK: terms.topK(),
            presencePenalty: terms.presencePenalty(),
            frequencyPenalty: terms.frequencyPenalty()
        });
    }

    function getTaskDecorationPromptType(uint256 sessionId, uint256 taskId) external view returns (uint256) {
        return getTaskDecoration(sessionId, taskId).promptType;
    }

    function getTaskDecorationPromptTemplate(uint256 sessionId, uint256 taskId) external view returns (string memory) {
        return getTaskDecoration(sessionId, taskId).promptTemplate;
    }

    function getTaskDecorationMaxTokens(uint256 sessionId, uint256 taskId) external view returns (uint256) {
        return getTaskDecoration(sessionId, taskId).maxTokens;
    }

    function getTaskDecorationTemperature(uint256 sessionId, uint256 taskId) external view returns (uint256) {
        return getTaskDecoration(sessionId, taskId).temperature;
    }

    function getTaskDecorationTopP(uint256 sessionId, uint256 taskId) external view returns (uint256) {
        return getTaskDecoration(sessionId, taskId).topP;
    }

    function getTaskDecorationTopK(uint256 sessionId, uint256 taskId) external view returns (uint256) {
        return getTaskDecoration(sessionId, taskId).topK;
    }

    function getTaskDecorationPresencePenalty(uint256 sessionId, uint256 taskId) external view returns (uint256) {
        return getTaskDecoration(sessionId, taskId).presencePenalty;
    }

    function getTaskDecorationFrequencyPenalty(uint256 sessionId, uint256 taskId) external view returns (uint256) {
        return getTaskDecoration(sessionId, taskId).frequencyPenalty;
    }

    /// @notice The task's miners and their results. A result that is not revealed is an empty text.
    function getTaskResults(uint256 sessionId, uint256 taskId)
        external
        view
        returns (address[] memory miners, string[] memory results)
    {
        (miners, results,) = getTaskResultsAndHashes(sessionId, taskId);
    }

    function getTaskResultHashes(uint256 sessionId, uint256 taskId)
        external
        view
        returns (address[] memory miners, bytes32[] memory hashes)
    {
        (miners,, hashes) = getTaskResultsAndHashes(sessionId, taskId);
    }

    function getTaskResultsAndHashes(uint256 sessionId, uint256 taskId)
        public
        view
        returns (address[] memory miners, string[] memory results, bytes32[] memory hashes)
    {
        Task storage task = _task(sessionId, taskId);
        miners = _minersFrom(task, TaskStatus.Assigned);
        results = new string[](miners.length);
        hashes = new bytes32[](miners.length);
        for (uint256 i; i < miners.length; ++i) {
            results[i] = _resultOf(task, i);
            hashes[i] = _hashOf(sessionId, taskId, task, i);
        }
    }

    function getAllTaskResults(uint256 sessionId)
        external
        view
        returns (address[][] memory miners, string[][] memory results, bytes32[][] memory hashes)
    {
        uint256[] memory ids = _idsOf(sessionId);
        miners = new address[][](ids.length);
        results = new string[][](ids.length);
        hashes = new bytes32[][](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            (miners[i], results[i], hashes[i]) = getTaskResultsAndHashes(sessionId, ids[i]);
        }
    }

    /// @notice The state of a miner's part; 0 if the miner has no part.
    function getTaskResultState(uint256 sessionId, uint256 taskId, address addr) external view returns (uint8) {
        Task storage task = _task(sessionId, taskId);
        Board board = task.board;
        (bool found, uint256 index) = _find(task, board, addr);
        if (!found) return 0;
        TaskStatus state = _part(task, board, index).state();
        // One verdict judges all miners that have revealed.
        if (state == TaskStatus.Committed && board.judged()) return uint8(TaskStatus.Ended);
        return uint8(state);
    }

    /// @notice A miner's result; empty until it is revealed.
    function getTaskResultData(uint256 sessionId, uint256 taskId, address miner) external view returns (string memory) {
        Task storage task = _task(sessionId, taskId);
        (bool found, uint256 index) = _find(task, task.board, miner);
        return found ? _resultOf(task, index) : "";
    }

    /// @notice The hash that a miner has precommitted; 0 before.
    function getTaskResultDataHash(uint256 sessionId, uint256 taskId, address miner) external view returns (bytes32) {
        Task storage task = _task(sessionId, taskId);
        (bool found, uint256 index) = _find(task, task.board, miner);
        return found ? _hashOf(sessionId, taskId, task, index) : bytes32(0);
    }

    function getTaskResultPrecommitTimestamp(uint256 sessionId, uint256 taskId, address miner)
        external
        view
        returns (uint256)
    {
        Task storage task = _task(sessionId, taskId);
        (bool found, uint256 index) = _find(task, task.board, miner);
        return found ? _precommitAt(task, index) : 0;
    }

    function getTaskResultCommitTimestamp(uint256 sessionId, uint256 taskId, address miner)
        external
        view
        returns (uint256)
    {
        Task storage task = _task(sessionId, taskId);
        (bool found, uint256 index) = _find(task, task.board, miner);
        return found ? _commitAt(task, index) : 0;
    }

    function getAllTaskResultAckedTimestamps(uint256 sessionId, uint256 taskId)
        external
        view
        returns (address[] memory, uint256[] memory)
    {
        return _times(_task(sessionId, taskId), _ackAt);
    }

    function getAllTaskResultPrecommitTimestamps(uint256 sessionId, uint256 taskId)
        external
        view
        returns (address[] memory, uint256[] memory)
    {
        return _times(_task(sessionId, taskId), _precommitAt);
    }

    function getAllTaskResultCommitTimestamps(uint256 sessionId, uint256 taskId)
        external
        view
        returns (address[] memory, uint256[] memory)
    {
        return _times(_task(sessionId, taskId), _commitAt);
    }

    function getHash(string calldata str) external pure returns (bytes32) {
        return keccak256(bytes(str));
    }

    function verifyHash(string calldata str, bytes32 expectedHash) external pure returns (bool) {
        return keccak256(bytes(str)) == expectedHash;
    }

    function getNodeId(address addr) external pure returns (bytes32) {
        return NodeIds.idOf(addr);
    }

    // ---------------------------------------------------------------- inside

    function _idsOf(uint256 sessionId) private view returns (uint256[] memory ids) {
        ids = new uint256[](getTaskCountBySessionId(sessionId));
        Run[] storage runs = _runs[sessionId];
        uint256 written;
        for (uint256 i; i < runs.length; ++i) {
            for (uint256 n; n < runs[i].count; ++n) {
                ids[written++] = runs[i].first + n;
            }
        }
    }

    /// @return the new number of miners in the list
    function _addMinersOf(Task storage task, address[] memory miners, uint256 kept) private view returns (uint256) {
        Board board = task.board;
        if (board.status() == TaskStatus.Ended) return kept;
        address[] memory placed = _minersBetween(task, board, TaskStatus.Assigned, TaskStatus.Ended);
        for (uint256 i; i < placed.length && kept < miners.length; ++i) {
            uint256 place;
            while (place < kept && miners[place] != placed[i]) ++place;
            if (place == kept) miners[kept++] = placed[i];
        }
        return kept;
    }

    function _dataOf(Task storage task) private view returns (string memory) {
        return task.board.isText() ? task.text : ContentAddress.unpack(task.content);
    }

    function _resultOf(Task storage task, uint256 index) private view returns (string memory) {
        if (!_part(task, task.board, index).hasCommitted()) return "";
        if (bytes(task.resultTexts[index]).length != 0) return task.resultTexts[index];
        return ContentAddress.unpack(task.results[index]);
    }

    function _hashOf(uint256 sessionId, uint256 taskId, Task storage task, uint256 index)
        private
        view
        returns (bytes32)
    {
        Part part = _part(task, task.board, index);
        if (!part.hasCommitted()) return task.results[index];
        return _commitHash(sessionId, taskId, _minerOf[part.number()], _resultOf(task, index));
    }

    function _times(Task storage task, function(Task storage, uint256) view returns (uint256) timeOf)
        private
        view
        returns (address[] memory miners, uint256[] memory times)
    {
        miners = _minersFrom(task, TaskStatus.Assigned);
        times = new uint256[](miners.length);
        for (uint256 i; i < miners.length; ++i) {
            times[i] = timeOf(task, i);
        }
    }

    /// @dev A precommit without an earlier ack counts as the ack.
    function _ackAt(Task storage task, uint256 index) private view returns (uint256) {
        Part part = _part(task, task.board, index);
        if (!part.ackedItself()) return _precommitAt(task, index);
        return task.board.assignedAt() + _timeIn(task.ackedAfter, index);
    }

    function _precommitAt(Task storage task, uint256 index) private view returns (uint256) {
        Part part = _part(task, task.board, index);
        return part.hasPrecommitted() ? task.board.assignedAt() + part.precommittedAfter() : 0;
    }

    function _commitAt(Task storage task, uint256 index) private view returns (uint256) {
        Part part = _part(task, task.board, index);
        if (!part.hasCommitted()) return 0;
        uint256 after_ = part.committedAfter();
        if (after_ == Parts.LATER_COMMIT) after_ = _timeIn(task.committedAfter, index);
        return task.board.phaseEnd() + after_;
    }
}
