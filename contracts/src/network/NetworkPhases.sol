// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {NetworkLedger} from "./NetworkLedger.sol";
import {NetworkPhase, NetworkState} from "./NetworkTypes.sol";

/// @title Tasks of several phases: each is assigned, precommitted, committed and judged in its turn.
/// @notice A task's creator may plan up to MAX_FURTHER_PHASES more phases after the first. A phase begins when at
///         least its quorum of the results before it was accepted; its prompt is made of these (see
///         NetworkViews). With fewer, or when a phase comes to nothing, the task ends there. Whoever was accepted
///         is credited with its phase's verdict, whatever becomes of the task.
/// @dev A phase has a seed of its own, in whose place the session's stands while it runs: no hash and no
///      signature fits into two phases. Its completers are drawn by `drawSeed`, which the phase before made as
///      rounds make it for the next one (see NetworkRequests), of salts and a block and nothing that a validator can
///      choose. The seed is bound to the accepted results as well, or a fork with another verdict could use a
///      signature that was given for another prompt.
abstract contract NetworkPhases is NetworkLedger {
    uint256 public constant MAX_FURTHER_PHASES = 3;
    uint256 public constant MIN_PHASE_SECONDS = 30;
    uint256 public constant MAX_PHASE_SECONDS = 600;
    uint256 public constant MAX_INSTRUCTION_BYTES = 1024;

    event SessionPhasePlanned(
        uint256 indexed id, uint256 indexed phase, string instruction, uint256 quorum, uint256 precommitSeconds
    );
    /// @dev The phase waits for its start; `accepted` results of the one before are in its prompt.
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

    /// @dev Whether so many accepted results lead to another phase.
    function _goesOn(NetworkSession storage s, uint256 accepted) internal view returns (bool) {
        return s.phase < s.lastPhase && accepted >= s.plan[s.phase + 1].quorum;
    }

    /// @dev Writes down how the phase went that is over, and brings the session to the next one's start.
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

    /// @dev The hashes bind the results, with their salts.
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
