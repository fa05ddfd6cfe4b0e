// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ContentAddress} from "../common/ContentAddress.sol";
import {NetworkLedger} from "./NetworkLedger.sol";
import {NetworkPhaseView, NetworkSessionView, NetworkState} from "./NetworkTypes.sol";

/// @title The published views of network tasks.
/// @notice Clients call Cognitive, which delegates calls of these functions to this contract. This contract has no
///         state of its own.
/// @dev NetworkLedger is the first base of both contracts, so they have the same storage layout.
contract NetworkViews is NetworkLedger {
    // The published interface does not define these thresholds. Here they are numbers of nodes.

    /// @notice The number of creators that get a turn, one after another, before a request is closed.
    uint256 public constant thresholdCreator = CREATORS;
    /// @notice The number of preparers that write prompts. Twice as many are drawn, as replacements for late ones.
    uint256 public constant thresholdPrepare = PREPARERS;
    /// @notice The most prompts that one preparer may write.
    uint256 public constant thresholdPrepareChallenge = PROMPTS_EACH;
    /// @notice The number of completers that are drawn.
    uint256 public constant thresholdMiner = COMPLETERS;
    /// @notice The number of validators that judge.
    uint256 public constant thresholdValidator = 1;

    /// @notice The hash that a completer precommits. No other node can reveal a copy of it, in this phase or another.
    /// @param salt 256 bits that nobody can guess; the parameter `seed` of the published `commit`
    function completionHash(uint256 id, address miner, string calldata completion, uint256 salt)
        external
        view
        returns (bytes32)
    {
        return _completionHash(id, miner, completion, salt);
    }

    /// @notice A session with its running phase, or its last phase if it has ended.
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

    /// @notice The prompt of the running phase; empty before its start.
    function getPrompt(uint256 id) external view returns (string memory) {
        NetworkSession storage s = _session(id);
        return s.startedAt == 0 ? "" : _promptOf(s, s.phase);
    }

    /// @notice The seed of the running phase. Every signed message of the phase contains it.
    function getSessionSeed(uint256 id) external view returns (uint256) {
        return _session(id).seed;
    }

    function getSessionState(uint256 id) public view returns (uint8) {
        return uint8(_session(id).state);
    }

    /// @notice The deadline of the session's current stage, in seconds since 1970.
    function getSessionDeadline(uint256 id) external view returns (uint256) {
        return _session(id).deadline;
    }

    /// @notice The completers' accuracies in basis points, in the order of `get(id).miners`.
    function getAccuracies(uint256 id) external view returns (uint256[] memory) {
        return _accuraciesOf(_completers(_session(id)));
    }

    // ---------------------------------------------------------------- phases

    /// @return running the number of the running phase, from 0
    /// @return last the number of the last planned phase
    function getPhases(uint256 id) external view returns (uint256 running, uint256 last) {
        NetworkSession storage s = _session(id);
        return (s.phase, s.lastPhase);
    }

    /// @notice The plan and the course of a phase; empty if no such phase was planned.
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

    /// @notice The number of the latest session; 0 if there is none.
    function getLatestSessionId() external view returns (uint256) {
        return sessionCounter;
    }

    /// @notice The state of the latest session; Request if there is none.
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

    /// @notice The session of a request; 0 if it has none yet.
    function creationRequests(uint256 requestId) external view returns (uint256) {
        return _requests[requestId].sessionId;
    }

    function creationRequestRequesters(uint256 requestId) external view returns (address) {
        return _requests[requestId].requester;
    }

    /// @notice A request; zeros if there is none.
    function getRequest(uint256 requestId) external view returns (CreationRequest memory) {
        return _requests[requestId];
    }

    /// @notice A revealed completion by its precommitted hash; empty if there is none.
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

    /// @dev The prompt of the first phase is one of the preparers' prompts. That of a later phase is its instruction
    ///      and the accepted results of the previous phase, in the order of its miners, each after an empty line.
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
