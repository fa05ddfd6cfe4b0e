// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ContentAddress} from "../common/ContentAddress.sol";
import {NetworkLedger} from "./NetworkLedger.sol";
import {NetworkPhaseView, NetworkSessionView, NetworkState} from "./NetworkTypes.sol";

/// @title The published views of network tasks.
/// @notice Part of Cognitive, which hands what it has no function for to this code by delegatecall: clients
///         call Cognitive. By itself this contract holds nothing.
/// @dev NetworkLedger comes first in both, so that they agree on the storage.
contract NetworkViews is NetworkLedger {
    // The published interface names these thresholds without saying more; here they are numbers of nodes.

    /// @notice How many creators a request asks, one after another, before it is given up.
    uint256 public constant thresholdCreator = CREATORS;
    /// @notice How many preparers write prompts. Twice as many are drawn, for those that are late.
    uint256 public constant thresholdPrepare = PREPARERS;
    /// @notice How many prompts one preparer may write.
    uint256 public constant thresholdPrepareChallenge = PROMPTS_EACH;
    /// @notice How many completers are drawn.
    uint256 public constant thresholdMiner = COMPLETERS;
    /// @notice How many validators judge.
    uint256 public constant thresholdValidator = 1;

    /// @notice What a completer precommits: nobody else can reveal a copy of it, in this phase or another.
    /// @param salt 256 bits that nobody can guess: `seed` of the published `commit`
    function completionHash(uint256 id, address miner, string calldata completion, uint256 salt)
        external
        view
        returns (bytes32)
    {
        return _completionHash(id, miner, completion, salt);
    }

    /// @notice A session, and of its phases the one that runs (or was the last).
    function get(uint256 id) external view returns (NetworkSessionView memory shown) {
        NetworkSession storage s = _session(id);
        shown.id = id;
        shown.timestamp = s.createdAt;
        shown.seed = s.seed;
        shown.domain = s.domain;
        shown.subdomain = s.subdomain;
        shown.maxPrompts = PREPARERS * PROMPTS_EACH;
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
        (shown.miners, shown.completionHashes, shown.completions) = _completionsOf(_completers(s));
        shown.submitterIds = new bytes32[](shown.miners.length);
        for (uint256 i; i < shown.miners.length; ++i) {
            if (_completers(s)[i].committed) shown.submitterIds[i] = getNodeId(shown.miners[i]);
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
        (maxPrompts, challengeIndex) = (PREPARERS * PROMPTS_EACH, s.challenge);
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

    /// @notice The prompt that the running phase's completers answer; empty before its start.
    function getPrompt(uint256 id) external view returns (string memory) {
        NetworkSession storage s = _session(id);
        return s.startedAt == 0 ? "" : _promptOf(s, s.phase);
    }

    /// @notice The seed of the phase that runs, which every signed step of it carries.
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
    function getAccuracies(uint256 id) external view returns (uint256[] memory) {
        return _accuraciesOf(_completers(_session(id)));
    }

    // ---------------------------------------------------------------- phases

    /// @return running the number of the phase that runs, from 0
    /// @return last the number of the last one that was planned
    function getPhases(uint256 id) external view returns (uint256 running, uint256 last) {
        NetworkSession storage s = _session(id);
        return (s.phase, s.lastPhase);
    }

    /// @notice What was planned for a phase, and how far it has come; empty where nothing was.
    function getPhase(uint256 id, uint256 phase) external view returns (NetworkPhaseView memory shown) {
        NetworkSession storage s = _session(id);
        Phase storage p = s.plan[phase];
        bool runs = phase == s.phase;
        shown.instruction = p.instruction;
        shown.quorum = p.quorum;
        shown.precommitSeconds = p.precommitSeconds;
        shown.seed = runs ? s.seed : p.seed;
        shown.startTimestamp = runs ? s.startedAt : p.startedAt;
        shown.validator = runs ? s.validator : p.validator;
        if (shown.startTimestamp != 0) shown.prompt = _promptOf(s, phase);
        Completer[] storage completers = s.completersOf[phase];
        shown.accuraciesBps = _accuraciesOf(completers);
        (shown.miners, shown.completionHashes, shown.completions) = _completionsOf(completers);
    }

    // ---------------------------------------------------------------- the latest, and requests

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
    function isRequestState() external view returns (bool) {
        return _isRequestOpen();
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
        return found && _completers(s)[index].precommitted;
    }

    function alreadyCommitted(uint256 id, address miner) external view returns (bool) {
        NetworkSession storage s = _session(id);
        (bool found, uint256 index) = _find(s, miner);
        return found && _completers(s)[index].committed;
    }

    function getNodeId(address addr) public pure returns (bytes32) {
        return keccak256(abi.encodePacked(addr));
    }

    // ---------------------------------------------------------------- inside

    /// @dev The first phase's prompt is one of the preparers'. Every other one's is its instruction and the
    ///      accepted results of the phase before, in the order of its miners, each after an empty line.
    function _promptOf(NetworkSession storage s, uint256 phase) private view returns (string memory prompt) {
        if (phase == 0) return s.challenges[s.challenge];
        prompt = s.plan[phase].instruction;
        Completer[] storage before = s.completersOf[phase - 1];
        for (uint256 i; i < before.length; ++i) {
            if (before[i].accuracyBps == 0) continue;
            prompt = string.concat(prompt, "\n\n", temporaryCompletionResults(before[i].hash));
        }
    }

    function _accuraciesOf(Completer[] storage completers) private view returns (uint256[] memory accuraciesBps) {
        accuraciesBps = new uint256[](completers.length);
        for (uint256 i; i < accuraciesBps.length; ++i) {
            accuraciesBps[i] = completers[i].accuracyBps;
        }
    }

    function _completionsOf(Completer[] storage completers)
        private
        view
        returns (address[] memory miners, bytes32[] memory hashes, string[] memory completions)
    {
        uint256 count = completers.length;
        miners = new address[](count);
        hashes = new bytes32[](count);
        completions = new string[](count);
        for (uint256 i; i < count; ++i) {
            Completer storage c = completers[i];
            (miners[i], hashes[i]) = (c.miner, c.hash);
            if (c.committed) completions[i] = temporaryCompletionResults(c.hash);
        }
    }
}
