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

/// @notice All that a task says. `taskDigest` binds it (see TaskTerms.digestOf).
/// @param taskData the prompt itself, or the content address of it
/// @param promptType 0: a user's message, 1: text with the model's control tokens in it, 2: a message behind the
/// system message that promptTemplate is; from 128 on the routers' own
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

/// @notice A submission on its way from Session, which has checked it, to the queue.
/// @param sid the session's fork-proof identity
/// @param terms how the task wants to be answered, packed by TaskTerms
/// @param rest what the terms do not say, hashed; 0 when they say all (see TaskTerms.restOf)
/// @param content the digest that `taskData` addresses or, of a plain text, its hash
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

// What is relayed. The signed messages are in TaskMessages: they carry the task's digest too, which the
// contract knows. Signatures are in the short form of ERC-2098.

/// @notice "I have the job and work on it", signed by `miner`.
struct SignedAck {
    uint256 sessionId;
    uint256 taskId;
    address miner;
    bytes32 r;
    bytes32 vs;
}

/// @notice "My result is fixed", signed by `miner`; `hash` as TaskViews.commitHash.
struct SignedPrecommit {
    uint256 sessionId;
    uint256 taskId;
    address miner;
    bytes32 hash;
    bytes32 r;
    bytes32 vs;
}

/// @notice "This is `miner`'s result." The precommitted hash says so already: it was signed, and binds the task,
///         the miner and the result with its secret salt. So nobody's signature is needed here.
/// @param content the digest that the result's content address says; 0 for a result in plain text
struct Reveal {
    uint256 sessionId;
    uint256 taskId;
    address miner;
    bytes32 content;
}

/// @notice What each result is worth, by a validator: the lists go together, accuracy in basis points.
/// @param miners all who have revealed, in any order; who has not is passed over
/// @param inputTokens the prompt's, the same for all
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
