// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @dev The most miners that can answer one task.
uint256 constant MAX_REDUNDANCY = 16;

/// @notice The stages of a task, and of one miner's part in it. They follow each other in this order. A task that
///         cannot continue goes to Ended directly.
/// @dev A task is Acked from its first ack on. It is Precommitted or Committed once that phase is over. A miner that
///      has been judged is Ended.
enum TaskStatus {
    Queued,
    Assigned,
    Acked,
    Precommitted,
    Committed,
    Ended
}

/// @notice The complete specification of a task. `taskDigest` is its digest (see TaskTerms.digestOf).
/// @param taskData the prompt itself, or its content address
/// @param promptType 0: a user message, 1: text with the model's control tokens, 2: a user message after the system
/// message in promptTemplate; values from 128 on are defined by routers
/// @param llmParams maxTokens, temperature×100, topP×100, topK, presencePenalty×100, frequencyPenalty×100, …
/// @param requestParams timeout in seconds, …
/// @param maxInputTokens the most input tokens that miners can charge
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

/// @notice A submission that Session has checked, as it is passed to the queue.
/// @param sid the session's fork-proof identity
/// @param terms the task's terms, packed by TaskTerms
/// @param rest the hash of everything that is not part of the terms; 0 if there is nothing (see TaskTerms.restOf)
/// @param content the digest in the content address `taskData`; for a plain text, its hash
/// @param isText whether `taskData` is a plain text
struct NewTask {
    uint256 sessionId;
    uint256 taskId;
    bytes32 sid;
    uint256 modelIdentifier;
    uint256 redundancy;
    uint256 terms;
    bytes32 rest;
    bytes32 content;
    bool isText;
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

// The elements of relayed batches. The signed messages are in TaskMessages. They also contain the task's digest, which
// the contract can compute. Signatures have the compact form of ERC-2098.

/// @notice A miner's statement that it has the job and works on it, signed by `miner`.
struct SignedAck {
    uint256 sessionId;
    uint256 taskId;
    address miner;
    bytes32 r;
    bytes32 vs;
}

/// @notice A miner's statement that its result is final, signed by `miner`. `hash` is TaskViews.commitHash of it.
struct SignedPrecommit {
    uint256 sessionId;
    uint256 taskId;
    address miner;
    bytes32 hash;
    bytes32 r;
    bytes32 vs;
}

/// @notice A miner's result. It needs no signature: the precommitted hash was signed, and binds the task, the miner and
///         the result with its secret salt.
/// @param content the digest in the result's content address; 0 for a result in plain text
struct Reveal {
    uint256 sessionId;
    uint256 taskId;
    address miner;
    bytes32 content;
}

/// @notice A validator's verdict on the results. The lists are parallel; accuracies are in basis points.
/// @param miners all miners that have revealed, in any order; others are ignored
/// @param inputTokens the tokens of the prompt, the same for all miners
struct Verdict {
    uint256 sessionId;
    uint256 taskId;
    uint256 inputTokens;
    address[] miners;
    uint256[] accuraciesBps;
    uint256[] outputTokens;
}

struct SignedVerdict {
    Verdict verdict;
    bytes32 r;
    bytes32 vs;
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

/// @dev The published view of a task's parameters. `id` is the task's global number.
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
