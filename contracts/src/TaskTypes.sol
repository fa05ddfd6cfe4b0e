// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @dev The most miners that can answer one task.
uint256 constant MAX_REDUNDANCY = 16;

/// @notice The stages of a task, and of one miner's part in it. They are passed in this order only; a task
///         that cannot go on jumps to Ended.
/// @dev A task is Acked from its first ack on, Precommitted and Committed once that phase is over. A miner
///      that has been judged is Ended.
enum TaskStatus {
    Queued,
    Assigned,
    Acked,
    Precommitted,
    Committed,
    Ended
}

/// @notice All that a task says. `taskDigest` binds it (see Session.digestOf).
/// @param taskData the prompt itself, or the content address of it
/// @param promptType 1: a user's message, 0: plain continuation
/// @param llmParams maxTokens, temperature×100, topP×100, topK, presencePenalty×100, frequencyPenalty×100, …
/// @param requestParams timeout in seconds, …
/// @param maxInputTokens the most input tokens that miners can charge for
struct Submission {
    uint256 sessionId;
    uint256 taskId;
    string taskData;
    uint256 promptType;
    string promptTemplate;
    uint256[] llmParams;
    uint256[] requestParams;
    string clientReference;
    uint256 maxInputTokens;
}

struct Assignment {
    uint256 sessionId;
    uint256 taskId;
    address[] miners;
    uint256 modelIdentifier;
}

struct Replacement {
    uint256 sessionId;
    uint256 taskId;
    address late;
    address replacement;
}

struct TaskRef {
    uint256 sessionId;
    uint256 taskId;
}

/// @notice "I have the job and work on it", signed by `miner`.
struct Ack {
    uint256 sessionId;
    uint256 taskId;
    bytes32 taskDigest;
    address miner;
}

/// @notice "My result is fixed", signed by `miner`; `hash` as TaskLedger.commitHash.
struct Precommit {
    uint256 sessionId;
    uint256 taskId;
    bytes32 taskDigest;
    address miner;
    bytes32 hash;
}

/// @notice "This is my result", signed by `miner`.
struct Commit {
    uint256 sessionId;
    uint256 taskId;
    bytes32 taskDigest;
    address miner;
    string data;
}

/// @notice What `miner`'s result is worth, signed by a validator; accuracy in basis points.
struct Verdict {
    uint256 sessionId;
    uint256 taskId;
    bytes32 taskDigest;
    address miner;
    uint256 accuracyBps;
    uint256 inputTokens;
    uint256 outputTokens;
}

/// @dev The published view of a task.
struct TaskView {
    uint256 id;
    uint256 gid;
    uint256 sessionId;
    string data;
    address[] assignedMiners;
    bool ended;
    uint8 status;
    uint256 createdAt;
    uint256 lastPrecommitAt;
    uint256 lastCommitAt;
    uint256 finishedAt;
}

/// @dev The published view of how a task wants to be answered. `id` is the task's global number.
struct TaskDecoration {
    uint256 id;
    uint256 sessionId;
    uint256 taskId;
    uint256 promptType;
    string promptTemplate;
    uint256 maxTokens;
    uint256 temperature;
    uint256 topP;
    uint256 topK;
    uint256 presencePenalty;
    uint256 frequencyPenalty;
}
