// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {NetworkState} from "./NetworkTypes.sol";

/// @title The storage of network tasks. Its functions do not change state. NetworkViews has the published views.
abstract contract NetworkLedger {
    /// @dev Two words: one of 160 + 8 + 8 + 16 + 16 bits, and the hash.
    /// @param elapsed the seconds from the start to the precommit
    struct Completer {
        address miner;
        bool precommitted;
        bool committed;
        uint16 accuracyBps;
        uint16 elapsed;
        bytes32 hash;
    }

    /// @dev The plan of a phase and, once the phase is over, its course. While a phase runs, the session holds its
    ///      seed, its time and its validator. Word 1 (224 bits) has everything but the seeds and the instruction.
    /// @param quorum the number of accepted results of the previous phase that this phase requires
    /// @param precommitSeconds the time for its precommits, in seconds
    /// @param drawSeed the seed of the draw of its completers, made in the previous phase like the seed of a round
    /// @param instruction the beginning of its prompt, before the accepted results
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
    ///      `seed` to `salts` are those of the running phase. The creator, the preparers, and the times of creation and
    ///      end are those of the whole session.
    /// @param preparer the index in `preparers` of the preparer whose turn it is
    /// @param delivered a bit for each preparer that has delivered its prompts
    /// @param beacon the hash of block `closedBlock`, read at the first reveal
    /// @param salts the revealed salts, combined in a way that does not depend on their order
    /// @param phase the number of the running phase, from 0; `lastPhase` is the number of the last planned one
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

    /// @dev A request for a creator. One request is open at a time. It closes when its session ends, or when no
    ///      creator is left.
    /// @param asked the index in `creators` of the creator whose turn it is
    /// @param drawBlock the block whose hash will give the seed; 0 once the seed is known
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

    // The numbers of nodes for each role: see the thresholds in NetworkViews.
    uint256 internal constant CREATORS = 3;
    uint256 internal constant PREPARERS = 2;
    uint256 internal constant PROMPTS_EACH = 2;
    uint256 internal constant COMPLETERS = 5;

    /// @notice The number of requests, which is also the number of the latest one.
    uint256 public requestCounter;
    /// @notice The number of sessions, which is also the number of the latest one.
    uint256 public sessionCounter;
    /// @notice The number of revealed completions.
    uint256 public temporaryCompletionResultCounter;

    mapping(uint256 requestId => CreationRequest) internal _requests;
    mapping(uint256 id => NetworkSession) private _sessions;

    /// @dev Revealed completions by their hash: the digest of a content address, or the text.
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

    /// @dev The completers of the running phase.
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

    /// @dev The completers of the running phase that have precommitted, or that have revealed.
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
            mstore(list, found) // the list only becomes shorter
        }
    }
}
