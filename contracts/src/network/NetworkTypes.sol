// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @notice The last stage that a network task has passed. They are passed in this order only; one that cannot
///         go on jumps to End. A verdict with enough accepted results leads from Commit back to Prepare, of the
///         next phase.
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

/// @notice "I am there", signed by `node`.
/// @param time seconds since 1970 when it was signed; accepted for PING_LIFETIME, and once
struct Ping {
    address node;
    uint256 time;
}

/// @notice "This is the virtual block", signed by the creator whose turn it is.
/// @param requestId of the request
/// @param seed of the request: its fork-proof identity
struct NetworkCreate {
    uint256 requestId;
    uint256 seed;
    string domain;
    string subdomain;
}

/// @notice What a task asks for after its first phase. Its prompt is the instruction and the accepted results
///         of the phase before, each after an empty line.
/// @param instruction a text, or the content address of one
/// @param quorum how many results of the phase before have to be accepted for this one to begin
/// @param precommitSeconds how long the phase's precommits are awaited
struct NetworkPhase {
    string instruction;
    uint256 quorum;
    uint256 precommitSeconds;
}

/// @notice NetworkCreate for a task of several phases, signed by the same.
struct NetworkCreatePhased {
    uint256 requestId;
    uint256 seed;
    string domain;
    string subdomain;
    NetworkPhase[] phases;
}

/// @notice "These are my prompts", signed by the preparer whose turn it is.
struct NetworkPrepare {
    uint256 id;
    uint256 seed;
    string[] challenges;
}

/// @notice "My completion is fixed", signed by a completer; `hash` as Cognitive.completionHash.
struct NetworkPrecommit {
    uint256 id;
    uint256 seed;
    bytes32 hash;
}

/// @notice "This is my completion", signed by a completer.
struct NetworkCommit {
    uint256 id;
    uint256 seed;
    string completion;
    uint256 salt;
}

/// @notice What the completions are worth, signed by a validator.
/// @param accuraciesBps basis points, in the order of the session's miners; 0 for who has not revealed
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

/// @dev What was planned for one phase of a network task, and how it went.
/// @param seed what the phase's hashes and signatures are bound to
/// @param prompt empty before the phase's start
/// @param miners its completers; the other lists go with this one
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
