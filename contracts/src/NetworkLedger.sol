// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ContentAddress} from "./ContentAddress.sol";
import {NetworkSessionView, NetworkState} from "./NetworkTypes.sol";

/// @title How network tasks are kept, and the published views of them. Nothing here changes state.
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

    /// @dev Word 1, 248 bits: the creator, the state, small counters and the time of creation.
    ///      Word 2, 184 bits: the other times and the block in which the precommit phase ended.
    /// @param preparer the place in `preparers` of the one whose turn it is
    /// @param delivered a bit for each preparer that has written its prompts
    /// @param beacon the hash of block `closedBlock`, taken at the first reveal
    /// @param salts what was revealed, folded so that its order does not matter
    struct NetworkSession {
        uint256 seed;
        address creator;
        NetworkState state;
        uint8 preparer;
        uint8 delivered;
        uint8 challenge;
        uint8 precommits;
        uint8 commits;
        uint40 createdAt;
        uint40 startedAt;
        uint40 endedAt;
        uint40 deadline;
        uint64 closedBlock;
        address validator;
        bytes32 beacon;
        bytes32 salts;
        string domain;
        string subdomain;
        address[] preparers;
        string[] challenges;
        Completer[] completers;
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

    // The published interface names these thresholds without saying more; here they are numbers of nodes.

    /// @notice How many creators a request asks, one after another, before it is given up.
    uint256 public constant thresholdCreator = 3;
    /// @notice How many preparers write prompts. Twice as many are drawn, for those that are late.
    uint256 public constant thresholdPrepare = 2;
    /// @notice How many prompts one preparer may write.
    uint256 public constant thresholdPrepareChallenge = 2;
    /// @notice How many completers are drawn.
    uint256 public constant thresholdMiner = 5;
    /// @notice How many validators judge.
    uint256 public constant thresholdValidator = 1;

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

    /// @notice What a completer precommits: nobody else can reveal a copy of it, in this session or another.
    /// @param salt 256 bits that nobody can guess: `seed` of the published `commit`
    function completionHash(uint256 id, address miner, string memory completion, uint256 salt)
        public
        view
        returns (bytes32)
    {
        return keccak256(abi.encode(id, _session(id).seed, miner, completion, salt));
    }

    function get(uint256 id) external view returns (NetworkSessionView memory shown) {
        NetworkSession storage s = _session(id);
        shown.id = id;
        shown.timestamp = s.createdAt;
        shown.seed = s.seed;
        shown.domain = s.domain;
        shown.subdomain = s.subdomain;
        shown.maxPrompts = thresholdPrepare * thresholdPrepareChallenge;
        shown.challengeIndex = s.challenge;
        shown.challenges = s.challenges;
        shown.state = uint8(s.state);
        shown.startTimestamp = s.startedAt;
        shown.endTimestamp = s.endedAt;
        shown.creator = s.creator;
        shown.preparers = s.preparers;
        shown.preparerIndex = s.preparer;
        shown.completionCounter = s.commits;
        if (s.validator != address(0)) {
            shown.validators = new address[](1);
            shown.validators[0] = s.validator;
        }
        uint256 count = s.completers.length;
        shown.miners = new address[](count);
        shown.submitterIds = new bytes32[](count);
        shown.completionHashes = new bytes32[](count);
        shown.completions = new string[](count);
        for (uint256 i; i < count; ++i) {
            Completer storage c = s.completers[i];
            shown.miners[i] = c.miner;
            shown.completionHashes[i] = c.hash;
            if (!c.committed) continue;
            shown.submitterIds[i] = getNodeId(c.miner);
            shown.completions[i] = temporaryCompletionResults(c.hash);
        }
    }

    /// @notice `get` without its lists.
    function sessions(uint256 id_)
        external
        view
        returns (
            uint256 id,
            uint256 timestamp,
            uint256 seed,
            string memory domain,
            string memory subdomain,
            uint256 maxPrompts,
            uint256 challengeIndex,
            uint8 state,
            uint256 startTimestamp,
            uint256 endTimestamp,
            address creator,
            uint256 preparerIndex,
            uint256 completionCounter
        )
    {
        NetworkSession storage s = _session(id_);
        (id, timestamp, seed, domain, subdomain) = (id_, s.createdAt, s.seed, s.domain, s.subdomain);
        (maxPrompts, challengeIndex) = (thresholdPrepare * thresholdPrepareChallenge, s.challenge);
        (state, startTimestamp, endTimestamp) = (uint8(s.state), s.startedAt, s.endedAt);
        (creator, preparerIndex, completionCounter) = (s.creator, s.preparer, s.commits);
    }

    function getDomainAndSubdomain(uint256 id)
        external
        view
        returns (string memory domain, string memory subdomain)
    {
        NetworkSession storage s = _session(id);
        return (s.domain, s.subdomain);
    }

    /// @notice The prompt that the completers answer; empty before the start.
    function getPrompt(uint256 id) external view returns (string memory prompt) {
        NetworkSession storage s = _session(id);
        if (s.startedAt != 0) prompt = s.challenges[s.challenge];
    }

    function getSessionSeed(uint256 id) external view returns (uint256) {
        return _session(id).seed;
    }

    function getSessionState(uint256 id) public view returns (uint8) {
        return uint8(_session(id).state);
    }

    /// @notice The end of the stage that a session is in, as seconds since 1970.
    function getSessionDeadline(uint256 id) external view returns (uint256) {
        return _session(id).deadline;
    }

    /// @notice The completers' accuracies in basis points, in the order of `get(id).miners`.
    function getAccuracies(uint256 id) external view returns (uint256[] memory accuraciesBps) {
        NetworkSession storage s = _session(id);
        accuraciesBps = new uint256[](s.completers.length);
        for (uint256 i; i < accuraciesBps.length; ++i) {
            accuraciesBps[i] = s.completers[i].accuracyBps;
        }
    }

    /// @notice 0 while there is none.
    function getLatestSessionId() external view returns (uint256) {
        return sessionCounter;
    }

    /// @notice Request while there is none.
    function getLatestSessionState() external view returns (uint8) {
        return sessionCounter == 0 ? uint8(NetworkState.Request) : getSessionState(sessionCounter);
    }

    /// @return the latest session's number and state
    function getLatestSessionInfo() external view returns (uint256, uint8) {
        return (sessionCounter, sessionCounter == 0 ? uint8(NetworkState.Request) : getSessionState(sessionCounter));
    }

    /// @notice Whether a request waits for its creator.
    function isRequestState() public view returns (bool) {
        CreationRequest storage r = _requests[requestCounter];
        return r.requester != address(0) && !r.closed && r.sessionId == 0;
    }

    /// @notice The session that a request led to; 0 while it has not.
    function creationRequests(uint256 requestId) external view returns (uint256) {
        return _requests[requestId].sessionId;
    }

    function creationRequestRequesters(uint256 requestId) external view returns (address) {
        return _requests[requestId].requester;
    }

    /// @notice A request in full; zeros where there is none.
    function getRequest(uint256 requestId) external view returns (CreationRequest memory) {
        return _requests[requestId];
    }

    /// @notice A revealed completion by its precommitted hash; empty where there is none.
    function temporaryCompletionResults(bytes32 hash) public view returns (string memory) {
        bytes32 contentDigest = _completionDigests[hash];
        return contentDigest == 0 ? _completionTexts[hash] : ContentAddress.unpack(contentDigest);
    }

    function alreadyPrecommitted(uint256 id, address miner) external view returns (bool) {
        NetworkSession storage s = _session(id);
        (bool found, uint256 index) = _find(s, miner);
        return found && s.completers[index].precommitted;
    }

    function alreadyCommitted(uint256 id, address miner) external view returns (bool) {
        NetworkSession storage s = _session(id);
        (bool found, uint256 index) = _find(s, miner);
        return found && s.completers[index].committed;
    }

    function getNodeId(address addr) public pure returns (bytes32) {
        return keccak256(abi.encodePacked(addr));
    }

    function _session(uint256 id) internal view returns (NetworkSession storage s) {
        s = _sessions[id];
        if (id == 0 || id > sessionCounter) revert SessionNotFound(id);
    }

    function _find(NetworkSession storage s, address miner) internal view returns (bool found, uint256 index) {
        uint256 count = s.completers.length;
        for (; index < count; ++index) {
            if (s.completers[index].miner == miner) return (true, index);
        }
    }

    /// @dev The completers that have precommitted, or revealed.
    function _completersThat(NetworkSession storage s, bool revealed) internal view returns (address[] memory list) {
        uint256 count = s.completers.length;
        list = new address[](count);
        uint256 found;
        for (uint256 i; i < count; ++i) {
            Completer storage c = s.completers[i];
            if (revealed ? c.committed : c.precommitted) list[found++] = c.miner;
        }
        assembly ("memory-safe") {
            mstore(list, found) // only shorter than it was made
        }
    }
}
