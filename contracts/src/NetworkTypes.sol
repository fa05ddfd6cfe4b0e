// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @notice The last stage that a network task has passed. They are passed in this order only; one that cannot
///         go on jumps to End.
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
