// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ContentAddress} from "./ContentAddress.sol";
import {MAX_REDUNDANCY, TaskDecoration, TaskStatus, TaskView} from "./TaskTypes.sol";

/// @title How tasks are kept, and the published views of them. Nothing here changes state.
abstract contract TaskLedger {
    /// @dev One miner's part in a task: two words.
    ///      Word 0, 232 bits: the times are seconds after the task's `createdAt` (`committedAfter`: after its
    ///      `precommitEndedAt`). They fit 16 bits because nothing is accepted after its deadline: assignment
    ///      and precommit each take at most MAX_TIMEOUT, a commit at most COMMIT_WINDOW. A time means
    ///      something only once `state` has come that far.
    ///      Word 1: the precommitted hash; once a content address is committed, the digest of the content
    ///      instead, from which the hash can be computed again.
    struct Part {
        address miner;
        TaskStatus state;
        uint16 assignedAfter;
        uint16 ackedAfter;
        uint16 precommittedAfter;
        uint16 committedAfter;
        bytes32 hash;
    }

    /// @dev Five words, two texts that are mostly empty, and the parts.
    ///      Word 1, 256 bits: six small counters, then times as seconds since 1970 (uint32 lasts until 2106)
    ///      and the running number over all sessions.
    ///      Word 2: the prices at the time of submission, in wei a token.
    ///      Word 3, 240 bits: the decoration.
    ///      Word 4: the digest of the task's data, where `text` is empty.
    struct Task {
        bytes32 digest;
        TaskStatus status;
        uint8 redundancy;
        uint8 miners;
        uint8 precommitted;
        uint8 committed;
        uint8 judged;
        uint16 timeout;
        uint16 assignedAfter;
        uint32 createdAt;
        uint32 precommitEndedAt;
        uint32 commitEndedAt;
        uint32 endedAt;
        uint48 globalId;
        uint128 inputPriceWei;
        uint128 outputPriceWei;
        uint16 promptType;
        uint32 maxInputTokens;
        uint32 maxTokens;
        uint32 temperature;
        uint32 topP;
        uint32 topK;
        uint32 presencePenalty;
        uint32 frequencyPenalty;
        bytes32 contentDigest;
        string text;
        string promptTemplate;
        Part[MAX_REDUNDANCY] parts;
        string[MAX_REDUNDANCY] resultTexts;
    }

    /// @dev Seconds a miner has for its ack, all miners for revealing, the validators for judging.
    uint256 public constant ACK_WINDOW = 10;
    uint256 public constant COMMIT_WINDOW = 60;
    uint256 public constant VERDICT_WINDOW = 60;

    mapping(uint256 sessionId => mapping(uint256 taskId => Task)) private _tasks;
    /// @dev Task numbers in order of submission. They are below 2^53, so four share a word.
    mapping(uint256 sessionId => uint64[]) internal _taskIds;

    error TaskNotFound(uint256 sessionId, uint256 taskId);

    /// @notice What a miner precommits: a copied hash is another miner's, and so of no use.
    function commitHash(uint256 sessionId, uint256 taskId, address miner, string memory data)
        public
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(sessionId, taskId, miner, data));
    }

    function taskDigestOf(uint256 sessionId, uint256 taskId) external view returns (bytes32) {
        return _task(sessionId, taskId).digest;
    }

    /// @notice The ends of a task's stages, as seconds since 1970; 0 while a stage has not begun.
    function getTaskDeadlines(uint256 sessionId, uint256 taskId)
        external
        view
        returns (uint256 queueDeadline, uint256 precommitDeadline, uint256 commitDeadline, uint256 verdictDeadline)
    {
        Task storage task = _task(sessionId, taskId);
        queueDeadline = _queueDeadline(task);
        if (task.miners != 0) precommitDeadline = _precommitDeadline(task);
        if (task.precommitEndedAt != 0) commitDeadline = _commitDeadline(task);
        if (task.commitEndedAt != 0) verdictDeadline = _verdictDeadline(task);
    }

    function getTask(uint256 sessionId, uint256 taskId) public view returns (TaskView memory seen) {
        Task storage task = _task(sessionId, taskId);
        seen.id = taskId;
        seen.gid = task.globalId;
        seen.sessionId = sessionId;
        seen.data = _dataOf(task);
        seen.assignedMiners = _minersFrom(task, TaskStatus.Assigned);
        seen.ended = task.status == TaskStatus.Ended;
        seen.status = uint8(task.status);
        seen.createdAt = task.createdAt;
        seen.finishedAt = task.endedAt;
        for (uint256 i; i < task.miners; ++i) {
            uint256 precommitAt = _precommitAt(task, task.parts[i]);
            uint256 commitAt = _commitAt(task, task.parts[i]);
            if (precommitAt > seen.lastPrecommitAt) seen.lastPrecommitAt = precommitAt;
            if (commitAt > seen.lastCommitAt) seen.lastCommitAt = commitAt;
        }
    }

    function getTasksBySessionId(uint256 sessionId) external view returns (TaskView[] memory tasks) {
        uint64[] storage ids = _taskIds[sessionId];
        tasks = new TaskView[](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            tasks[i] = getTask(sessionId, ids[i]);
        }
    }

    function getTaskCountBySessionId(uint256 sessionId) public view returns (uint256) {
        return _taskIds[sessionId].length;
    }

    function getTaskCountBySessionIds(uint256[] calldata sessionIds) external view returns (uint256[] memory counts) {
        counts = new uint256[](sessionIds.length);
        for (uint256 i; i < sessionIds.length; ++i) {
            counts[i] = getTaskCountBySessionId(sessionIds[i]);
        }
    }

    /// @notice The data of the session's latest task; empty when it has none.
    function getLatestTask(uint256 sessionId) external view returns (string memory) {
        uint64[] storage ids = _taskIds[sessionId];
        return ids.length == 0 ? "" : _dataOf(_task(sessionId, ids[ids.length - 1]));
    }

    function getTaskData(uint256 sessionId, uint256 taskId) external view returns (string memory) {
        return _dataOf(_task(sessionId, taskId));
    }

    /// @notice The task's data, once a miner has acked it; empty before.
    function getTaskDataWithAcked(uint256 sessionId, uint256 taskId) external view returns (string memory) {
        return isAcked(sessionId, taskId) ? _dataOf(_task(sessionId, taskId)) : "";
    }

    function getTaskStatus(uint256 sessionId, uint256 taskId) external view returns (uint8) {
        return uint8(_task(sessionId, taskId).status);
    }

    /// @notice Whether any miner has acked the task.
    function isAcked(uint256 sessionId, uint256 taskId) public view returns (bool) {
        Task storage task = _task(sessionId, taskId);
        return _minersFrom(task, TaskStatus.Acked).length != 0;
    }

    function getTaskDecoration(uint256 sessionId, uint256 taskId) public view returns (TaskDecoration memory) {
        Task storage task = _task(sessionId, taskId);
        return TaskDecoration({
            id: task.globalId,
            sessionId: sessionId,
            taskId: taskId,
            promptType: task.promptType,
            promptTemplate: task.promptTemplate,
            maxTokens: task.maxTokens,
            temperature: task.temperature,
            topP: task.topP,
            topK: task.topK,
            presencePenalty: task.presencePenalty,
            frequencyPenalty: task.frequencyPenalty
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

    /// @notice The task's miners and their results; an empty text where none is revealed.
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
        uint64[] storage ids = _taskIds[sessionId];
        miners = new address[][](ids.length);
        results = new string[][](ids.length);
        hashes = new bytes32[][](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            (miners[i], results[i], hashes[i]) = getTaskResultsAndHashes(sessionId, ids[i]);
        }
    }

    /// @notice How far a miner's part has come; 0 when the miner has none.
    function getTaskResultState(uint256 sessionId, uint256 taskId, address addr) external view returns (uint8) {
        (bool found, Part storage part,) = _find(_task(sessionId, taskId), addr);
        return found ? uint8(part.state) : 0;
    }

    /// @notice A miner's result; empty while it is not revealed.
    function getTaskResultData(uint256 sessionId, uint256 taskId, address miner) external view returns (string memory) {
        Task storage task = _task(sessionId, taskId);
        (bool found,, uint256 index) = _find(task, miner);
        return found ? _resultOf(task, index) : "";
    }

    /// @notice What a miner precommitted; 0 before.
    function getTaskResultDataHash(uint256 sessionId, uint256 taskId, address miner) external view returns (bytes32) {
        Task storage task = _task(sessionId, taskId);
        (bool found,, uint256 index) = _find(task, miner);
        return found ? _hashOf(sessionId, taskId, task, index) : bytes32(0);
    }

    function getTaskResultPrecommitTimestamp(uint256 sessionId, uint256 taskId, address miner)
        external
        view
        returns (uint256)
    {
        Task storage task = _task(sessionId, taskId);
        (bool found, Part storage part,) = _find(task, miner);
        return found ? _precommitAt(task, part) : 0;
    }

    function getTaskResultCommitTimestamp(uint256 sessionId, uint256 taskId, address miner)
        external
        view
        returns (uint256)
    {
        Task storage task = _task(sessionId, taskId);
        (bool found, Part storage part,) = _find(task, miner);
        return found ? _commitAt(task, part) : 0;
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
        return keccak256(abi.encodePacked(addr));
    }

    /// @dev The task's place in storage, taken or not.
    function _slot(uint256 sessionId, uint256 taskId) internal view returns (Task storage) {
        return _tasks[sessionId][taskId];
    }

    function _task(uint256 sessionId, uint256 taskId) internal view returns (Task storage task) {
        task = _tasks[sessionId][taskId];
        if (task.createdAt == 0) revert TaskNotFound(sessionId, taskId);
    }

    /// @dev At most MAX_REDUNDANCY looks; a list would cost more to keep than this costs to search.
    function _find(Task storage task, address miner)
        internal
        view
        returns (bool found, Part storage part, uint256 index)
    {
        uint256 count = task.miners;
        for (; index < count; ++index) {
            if (task.parts[index].miner == miner) return (true, task.parts[index], index);
        }
        part = task.parts[0];
    }

    /// @dev The miners whose part has come at least as far as `state`.
    function _minersFrom(Task storage task, TaskStatus state) internal view returns (address[] memory miners) {
        uint256 count = task.miners;
        miners = new address[](count);
        uint256 kept;
        for (uint256 i; i < count; ++i) {
            if (task.parts[i].state >= state) miners[kept++] = task.parts[i].miner;
        }
        assembly ("memory-safe") {
            mstore(miners, kept)
        }
    }

    function _queueDeadline(Task storage task) internal view returns (uint256) {
        return uint256(task.createdAt) + task.timeout;
    }

    function _precommitDeadline(Task storage task) internal view returns (uint256) {
        return uint256(task.createdAt) + task.assignedAfter + task.timeout;
    }

    function _commitDeadline(Task storage task) internal view returns (uint256) {
        return task.precommitEndedAt + COMMIT_WINDOW;
    }

    function _verdictDeadline(Task storage task) internal view returns (uint256) {
        return task.commitEndedAt + VERDICT_WINDOW;
    }

    function _dataOf(Task storage task) private view returns (string memory) {
        if (bytes(task.text).length != 0) return task.text;
        return ContentAddress.unpack(task.contentDigest);
    }

    function _resultOf(Task storage task, uint256 index) private view returns (string memory) {
        if (task.parts[index].state < TaskStatus.Committed) return "";
        if (bytes(task.resultTexts[index]).length != 0) return task.resultTexts[index];
        return ContentAddress.unpack(task.parts[index].hash);
    }

    function _hashOf(uint256 sessionId, uint256 taskId, Task storage task, uint256 index)
        private
        view
        returns (bytes32)
    {
        Part storage part = task.parts[index];
        if (part.state < TaskStatus.Committed) return part.hash;
        return commitHash(sessionId, taskId, part.miner, _resultOf(task, index));
    }

    function _times(Task storage task, function(Task storage, Part storage) view returns (uint256) timeOf)
        private
        view
        returns (address[] memory miners, uint256[] memory times)
    {
        miners = _minersFrom(task, TaskStatus.Assigned);
        times = new uint256[](miners.length);
        for (uint256 i; i < miners.length; ++i) {
            times[i] = timeOf(task, task.parts[i]);
        }
    }

    function _ackAt(Task storage task, Part storage part) private view returns (uint256) {
        return part.state < TaskStatus.Acked ? 0 : uint256(task.createdAt) + part.ackedAfter;
    }

    function _precommitAt(Task storage task, Part storage part) private view returns (uint256) {
        return part.state < TaskStatus.Precommitted ? 0 : uint256(task.createdAt) + part.precommittedAfter;
    }

    function _commitAt(Task storage task, Part storage part) private view returns (uint256) {
        return part.state < TaskStatus.Committed ? 0 : uint256(task.precommitEndedAt) + part.committedAfter;
    }
}
