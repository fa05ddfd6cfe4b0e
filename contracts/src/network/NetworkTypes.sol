// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @notice The last stage that a network task has passed. The stages follow each other in this order. A task that
///         cannot continue goes to End directly. A verdict with enough accepted results leads from Commit back to
///         Prepare, in the next phase.
/// @dev Request: no session yet. Create: waits for its preparers. Prepare: waits for `start`. Start: precommits
///      come in. Precommit: reveals come in. Commit: waits for the verdict.
enum NetworkState {
    Request,
    Create,
    Prepare,
    Start,
    Precommit,
    Commit,
    End
}

/// @notice A node's statement that it is present, signed by `node`.
/// @param time the time of signing in seconds since 1970; the ping is accepted once, within PING_LIFETIME
struct Ping {
    address node;
    uint256 time;
}

/// @notice The virtual block, signed by the creator whose turn it is.
/// @param requestId the number of the request
/// @param seed the seed of the request, its fork-proof identity
struct NetworkCreate {
    uint256 requestId;
    uint256 seed;
    string domain;
    string subdomain;
}

/// @notice A phase of a task after the first one. Its prompt is the instruction and the accepted results of the
///         previous phase, each after an empty line.
/// @param instruction a text, or the content address of one
/// @param quorum the number of accepted results of the previous phase that this phase requires
/// @param precommitSeconds the time for the phase's precommits, in seconds
struct NetworkPhase {
    string instruction;
    uint256 quorum;
    uint256 precommitSeconds;
}

/// @notice The virtual block of a task of several phases, signed by the creator whose turn it is.
struct NetworkCreatePhased {
    uint256 requestId;
    uint256 seed;
    string domain;
    string subdomain;
    NetworkPhase[] phases;
}

/// @notice The prompts of a preparer, signed by the preparer whose turn it is.
struct NetworkPrepare {
    uint256 id;
    uint256 seed;
    string[] challenges;
}

/// @notice A completer's statement that its completion is final. `hash` is Cognitive.completionHash of it.
struct NetworkPrecommit {
    uint256 id;
    uint256 seed;
    bytes32 hash;
}

/// @notice The completion of a completer, signed by it.
struct NetworkCommit {
    uint256 id;
    uint256 seed;
    string completion;
    uint256 salt;
}

/// @notice A verdict on the completions, signed by a validator.
/// @param accuraciesBps in basis points, in the order of the session's miners; 0 for a miner that has not revealed
struct NetworkVerdict {
    uint256 id;
    uint256 seed;
    uint256[] accuraciesBps;
}

/// @dev The published view of a network task.
struct NetworkSessionView {
    uint256 id;
    uint256 timestamp;
    uint256 seed;
    string domain;
    string subdomain;
    uint256 maxPrompts;
    uint256 challengeIndex;
    string[] challenges;
    address[] miners;
    uint8 state;
    uint256 startTimestamp;
    uint256 endTimestamp;
    address creator;
    address[] preparers;
    uint256 preparerIndex;
    bytes32[] submitterIds;
    bytes32[] completionHashes;
    string[] completions;
    uint256 completionCounter;
    address[] validators;
}

/// @dev The plan and the course of one phase of a network task.
/// @param seed the seed that the phase's hashes and signatures contain
/// @param prompt the phase's prompt; empty before its start
/// @param miners its completers; the other lists are parallel to this one
struct NetworkPhaseView {
    string instruction;
    uint256 quorum;
    uint256 precommitSeconds;
    uint256 seed;
    uint256 startTimestamp;
    address validator;
    string prompt;
    address[] miners;
    bytes32[] completionHashes;
    string[] completions;
    uint256[] accuraciesBps;
}
