// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {NetworkState} from "./NetworkTypes.sol";

/// @title How network tasks are kept. Nothing here changes state; the published views are in NetworkViews.
abstract contract NetworkLedger {
    /// @dev Two words: 160 + 8 + 8 + 16 + 16 bits, and the hash.
    /// @param elapsed seconds from the start to the precommit
    struct Completer {
        address miner;
        bool precommitted;
        bool committed;
        uint16 accuracyBps;
        uint16 elapsed;
        bytes32 hash;
    }

    /// @dev What was planned for a phase and, once it is over, how it went. Of the one that runs, the session
    ///      itself holds the seed, the time and the validator.
    ///      Word 1, 224 bits: all but the seeds and the instruction.
    /// @param quorum how many results of the phase before have to be accepted for this one to begin
    /// @param precommitSeconds how long its precommits are awaited
    /// @param drawSeed what its completers are drawn by: made in the phase before, like a round's seed
    /// @param instruction what its prompt begins with, before the accepted results
    struct Phase {
        uint8 quorum;
        uint16 precommitSeconds;
        uint40 startedAt;
        address validator;
        uint256 drawSeed;
        uint256 seed;
        string instruction;
    }

    /// @dev Word 1, 256 bits: the creator, the state, small counters and the time of creation.
    ///      Word 2, 192 bits: the other times, the block in which the precommit phase ended, the last phase.
    ///      `seed` to `salts` are the running phase's, but for what is the whole session's: the creator, the
    ///      preparers, the times of creation and end.
    /// @param preparer the place in `preparers` of the one whose turn it is
    /// @param delivered a bit for each preparer that has written its prompts
    /// @param beacon the hash of block `closedBlock`, taken at the first reveal
    /// @param salts what was revealed, folded so that its order does not matter
    /// @param phase the number of the one that runs, from 0; `lastPhase` is that of the last one planned
    struct NetworkSession {
        uint256 seed;
        address creator;
        NetworkState state;
        uint8 preparer;
        uint8 delivered;
        uint8 challenge;
        uint8 precommits;
        uint8 commits;
        uint8 phase;
        uint40 createdAt;
        uint40 startedAt;
        uint40 endedAt;
        uint40 deadline;
        uint64 closedBlock;
        uint8 lastPhase;
        address validator;
        bytes32 beacon;
        bytes32 salts;
        string domain;
        string subdomain;
        address[] preparers;
        string[] challenges;
        mapping(uint256 phase => Completer[]) completersOf;
        mapping(uint256 phase => Phase) plan;
    }

    /// @dev A request for a creator. One is open at a time; it closes when its session ends, or when no
    ///      creator is left.
    /// @param asked the place in `creators` of the one whose turn it is
    /// @param drawBlock the block whose hash will be the seed; 0 once the seed is known
    struct CreationRequest {
        address requester;
        uint8 asked;
        bool closed;
        uint40 deadline;
        uint64 drawBlock;
        uint256 seed;
        uint256 sessionId;
        address[] creators;
    }

    // How many nodes do what: see the thresholds in NetworkViews.
    uint256 internal constant CREATORS = 3;
    uint256 internal constant PREPARERS = 2;
    uint256 internal constant PROMPTS_EACH = 2;
    uint256 internal constant COMPLETERS = 5;

    /// @notice Requests so far, which is the latest one's number.
    uint256 public requestCounter;
    /// @notice Sessions so far, which is the latest one's number.
    uint256 public sessionCounter;
    /// @notice Completions revealed so far.
    uint256 public temporaryCompletionResultCounter;

    mapping(uint256 requestId => CreationRequest) internal _requests;
    mapping(uint256 id => NetworkSession) private _sessions;

    /// @dev A revealed completion by its hash: a content address's digest, or the text.
    mapping(bytes32 hash => bytes32) internal _completionDigests;
    mapping(bytes32 hash => string) internal _completionTexts;

    error SessionNotFound(uint256 id);

    /// @dev See NetworkViews.completionHash.
    function _completionHash(uint256 id, address miner, string memory completion, uint256 salt)
        internal
        view
        returns (bytes32)
    {
        return keccak256(abi.encode(id, _session(id).seed, miner, completion, salt));
    }

    function _session(uint256 id) internal view returns (NetworkSession storage s) {
        s = _sessions[id];
        if (id == 0 || id > sessionCounter) revert SessionNotFound(id);
    }

    /// @dev Whether a request waits for its creator.
    function _isRequestOpen() internal view returns (bool) {
        CreationRequest storage r = _requests[requestCounter];
        return r.requester != address(0) && !r.closed && r.sessionId == 0;
    }

    /// @dev Those of the phase that runs.
    function _completers(NetworkSession storage s) internal view returns (Completer[] storage) {
        return s.completersOf[s.phase];
    }

    function _find(NetworkSession storage s, address miner) internal view returns (bool found, uint256 index) {
        Completer[] storage completers = _completers(s);
        uint256 count = completers.length;
        for (; index < count; ++index) {
            if (completers[index].miner == miner) return (true, index);
        }
    }

    /// @dev The running phase's completers that have precommitted, or revealed.
    function _completersThat(NetworkSession storage s, bool revealed) internal view returns (address[] memory list) {
        Completer[] storage completers = _completers(s);
        uint256 count = completers.length;
        list = new address[](count);
        uint256 found;
        for (uint256 i; i < count; ++i) {
            Completer storage c = completers[i];
            if (revealed ? c.committed : c.precommitted) list[found++] = c.miner;
        }
        assembly ("memory-safe") {
            mstore(list, found) // only shorter than it was made
        }
    }
}
