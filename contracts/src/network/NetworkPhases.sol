// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {NetworkLedger} from "./NetworkLedger.sol";
import {NetworkPhase, NetworkState} from "./NetworkTypes.sol";

/// @title Network tasks of several phases. Each phase is assigned, precommitted, committed and judged in turn.
/// @notice A task's creator may plan up to MAX_FURTHER_PHASES phases after the first. A phase begins if at least its
///         quorum of results of the previous phase was accepted. Its prompt contains these results (see NetworkViews).
///         With fewer accepted results, or if a phase fails, the task ends. Accepted completers are credited with the
///         verdict of their phase, independently of later phases.
/// @dev Each phase has its own seed, which is the session's seed while the phase runs. So no hash and no signature is
///      valid in two phases. A phase's completers are drawn with `drawSeed`, which the previous phase made in the same
///      way as a round makes the seed of the next one (see NetworkRequests): from salts and a block hash, which a
///      validator cannot choose. The phase's seed also depends on the accepted results. Otherwise, a signature for one
///      prompt could be used on a fork in which another verdict led to another prompt.
abstract contract NetworkPhases is NetworkLedger {
    uint256 public constant MAX_FURTHER_PHASES = 3;
    uint256 public constant MIN_PHASE_SECONDS = 30;
    uint256 public constant MAX_PHASE_SECONDS = 600;
    uint256 public constant MAX_INSTRUCTION_BYTES = 1024;

    event SessionPhasePlanned(
        uint256 indexed id, uint256 indexed phase, string instruction, uint256 quorum, uint256 precommitSeconds
    );
    /// @dev The phase waits for its start. Its prompt contains `accepted` results of the previous phase.
    event SessionPhaseOpened(uint256 indexed id, uint256 indexed phase, uint256 seed, uint256 accepted);

    error EmptyText();
    error TextTooLong(uint256 length, uint256 most);
    error PhaseOutOfRange(bytes32 field, uint256 value, uint256 least, uint256 most);

    function _plan(uint256 id, NetworkPhase[] calldata phases) internal {
        NetworkSession storage s = _session(id);
        _requireBetween("phases", phases.length, 1, MAX_FURTHER_PHASES);
        for (uint256 i; i < phases.length; ++i) {
            NetworkPhase calldata phase = phases[i];
            _requireBetween("quorum", phase.quorum, 1, COMPLETERS);
            _requireBetween("precommitSeconds", phase.precommitSeconds, MIN_PHASE_SECONDS, MAX_PHASE_SECONDS);
            _requireText(phase.instruction, MAX_INSTRUCTION_BYTES);
            Phase storage planned = s.plan[i + 1];
            planned.quorum = uint8(phase.quorum);
            planned.precommitSeconds = uint16(phase.precommitSeconds);
            planned.instruction = phase.instruction;
            emit SessionPhasePlanned(id, i + 1, phase.instruction, phase.quorum, phase.precommitSeconds);
        }
        s.lastPhase = uint8(phases.length);
    }

    /// @dev Whether this number of accepted results leads to another phase.
    function _goesOn(NetworkSession storage s, uint256 accepted) internal view returns (bool) {
        return s.phase < s.lastPhase && accepted >= s.plan[s.phase + 1].quorum;
    }

    /// @dev Stores the course of the phase that is over, and opens the next phase, which then waits for its start.
    function _openPhase(uint256 id, NetworkSession storage s, uint256 drawSeed, uint256 accepted) internal {
        Phase storage over = s.plan[s.phase];
        (over.startedAt, over.validator, over.seed) = (s.startedAt, s.validator, s.seed);
        bytes32 results = _acceptedDigest(s);
        uint8 phase = ++s.phase;
        s.plan[phase].drawSeed = drawSeed;
        s.seed = uint256(keccak256(abi.encode(drawSeed, phase, results)));
        (s.state, s.startedAt, s.validator) = (NetworkState.Prepare, 0, address(0));
        (s.precommits, s.commits, s.beacon, s.salts) = (0, 0, 0, 0);
        emit SessionPhaseOpened(id, phase, s.seed, accepted);
    }

    function _requireText(string calldata text, uint256 most) internal pure {
        if (bytes(text).length == 0) revert EmptyText();
        if (bytes(text).length > most) revert TextTooLong(bytes(text).length, most);
    }

    /// @dev A digest of the accepted results' hashes, which bind the results and their salts.
    function _acceptedDigest(NetworkSession storage s) private view returns (bytes32 digest) {
        Completer[] storage completers = _completers(s);
        uint256 count = completers.length;
        for (uint256 i; i < count; ++i) {
            if (completers[i].accuracyBps != 0) digest = keccak256(abi.encode(digest, completers[i].hash));
        }
    }

    function _requireBetween(bytes32 field, uint256 value, uint256 least, uint256 most) private pure {
        if (value < least || value > most) revert PhaseOutOfRange(field, value, least, most);
    }
}
