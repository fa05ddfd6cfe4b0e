// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ContentAddress} from "../common/ContentAddress.sol";
import {NetworkRequests} from "./NetworkRequests.sol";
import {Credit, NetworkRewards} from "../money/NetworkRewards.sol";
import {NetworkScores} from "./NetworkScores.sol";
import {NetworkPhase, NetworkState} from "./NetworkTypes.sol";
import {NodePool} from "../node/NodePool.sol";
import {NodeReputation} from "../node/NodeReputation.sol";
import {NodeStage, Outcome, bitOf} from "../node/NodeOutcomes.sol";
import {NodeStats} from "../node/NodeStats.sol";

/// @title The steps of a network task: their conditions, their effects and their credits.
/// @notice There is one network task at a time. Every stage has a deadline: no work is accepted after it, and the stage
///         cannot be ended by force before it. Cognitive decides who may take which step. NetworkRequests describes the
///         draws of participants. The phases of one session (see NetworkPhases) follow each other like rounds do.
/// @dev This contract calls only the project's own contracts (NodePool, NodeStats, NodeReputation, NetworkRewards),
///      none of which calls back, and moves no tokens.
abstract contract NetworkFlow is NetworkRequests, NetworkScores {
    uint256 public constant PREPARE_WINDOW = 90;
    uint256 public constant START_WINDOW = 60;
    uint256 public constant PRECOMMIT_WINDOW = 120;
    uint256 public constant COMMIT_WINDOW = 60;
    uint256 public constant VERDICT_WINDOW = 120;
    uint256 public constant MAX_CHALLENGE_BYTES = 2048;
    uint256 public constant MAX_COMPLETION_BYTES = 4096;
    uint256 private constant BPS = 10_000;

    NetworkRewards public immutable rewards;

    event SessionPrepareAssigned(uint256 indexed id, address addr);
    event SessionPrepared(uint256 indexed id, address indexed addr);
    event SessionStarted(uint256 indexed id, uint256 startTimestamp, address[] addrs);
    event SessionPrecommitted(uint256 indexed id, address indexed addr);
    event SessionAllPrecommitted(uint256 indexed id, address[] addrs, bool forceEnd);
    event SessionCommitted(uint256 indexed id, address indexed addr);
    event SessionAllCommitted(uint256 indexed id, address[] addrs);
    event SessionEnded(uint256 indexed id, uint256 endTimestamp);
    event SessionJudged(uint256 indexed id, address indexed validator, uint256[] accuraciesBps);

    error AlreadyDone();
    error AlreadyEnded();
    error HashMismatch(bytes32 given, bytes32 expected);
    error NobodyThere();
    error NotDrawn(address node);
    error NotPrecommitted(address miner);
    error VerdictTooLarge(uint256 value, uint256 most);
    error WrongNumber(uint256 given, uint256 most);
    error WrongSeed(uint256 given, uint256 expected);
    error WrongState(NetworkState state, NetworkState expected);
    error ZeroHash();

    constructor(NodePool pool_, NodeStats stats_, NodeReputation reputation_, NetworkRewards rewards_)
        NetworkRequests(pool_, stats_, reputation_)
    {
        rewards = rewards_;
    }

    // ---------------------------------------------------------------- create

    function _create(address creator, string calldata domain, string calldata subdomain)
        internal
        returns (uint256 id)
    {
        id = _open(creator, domain, subdomain);
        _askPreparer(id, _session(id));
    }

    function _createPhased(
        address creator,
        string calldata domain,
        string calldata subdomain,
        NetworkPhase[] calldata phases
    ) internal returns (uint256 id) {
        id = _open(creator, domain, subdomain);
        _plan(id, phases);
        _askPreparer(id, _session(id));
    }

    // ---------------------------------------------------------------- prepare and start

    function _prepare(uint256 id, address preparer, string[] calldata challenges) internal {
        NetworkSession storage s = _session(id);
        _requireState(s, NetworkState.Create);
        address expected = s.preparers[s.preparer];
        if (preparer != expected) revert NotAsked(preparer, expected);
        _requireNotAfter(s.deadline);
        if (challenges.length == 0 || challenges.length > PROMPTS_EACH) {
            revert WrongNumber(challenges.length, PROMPTS_EACH);
        }
        for (uint256 i; i < challenges.length; ++i) {
            _requireText(challenges[i], MAX_CHALLENGE_BYTES);
            s.challenges.push(challenges[i]);
        }
        s.delivered |= uint8(1 << s.preparer);
        emit SessionPrepared(id, preparer);
        ++s.preparer;
        _askPreparer(id, s);
    }

    /// @dev Passes the turn to the next preparer, after the deadline of the current one.
    function _nextPreparer(uint256 id) internal {
        NetworkSession storage s = _session(id);
        _requireState(s, NetworkState.Create);
        _requireAfter(s.deadline);
        ++s.preparer;
        _askPreparer(id, s);
    }

    /// @dev Gives the turn to preparer `s.preparer`, unless enough preparers have delivered or none is left.
    function _askPreparer(uint256 id, NetworkSession storage s) private {
        if (_ones(s.delivered) < PREPARERS && s.preparer < s.preparers.length) {
            s.deadline = uint40(block.timestamp + PREPARE_WINDOW);
            emit SessionPrepareAssigned(id, s.preparers[s.preparer]);
        } else if (s.delivered == 0) {
            _finish(id, s);
        } else {
            s.state = NetworkState.Prepare;
            s.deadline = uint40(block.timestamp + START_WINDOW);
        }
    }

    function _start(uint256 id) internal {
        NetworkSession storage s = _session(id);
        _requireState(s, NetworkState.Prepare);
        _requireNotAfter(s.deadline);
        Phase storage phase = s.plan[s.phase];
        bool first = s.phase == 0;
        uint256 seed = first ? s.seed : phase.drawSeed;
        address[] memory drawn = _draw(seed, "completers", COMPLETERS, _cooldown());
        if (drawn.length == 0) revert NobodyThere();
        for (uint256 i; i < drawn.length; ++i) {
            _completers(s).push().miner = drawn[i];
        }
        _markDrawn(drawn);
        _unfreeze();
        if (first) s.challenge = uint8(uint256(keccak256(abi.encode(seed, "challenge"))) % s.challenges.length);
        (s.state, s.startedAt) = (NetworkState.Start, uint40(block.timestamp));
        s.deadline = uint40(block.timestamp + (first ? PRECOMMIT_WINDOW : phase.precommitSeconds));
        emit SessionStarted(id, block.timestamp, drawn);
    }

    // ---------------------------------------------------------------- precommit and commit

    function _precommit(uint256 id, address miner, bytes32 hash) internal {
        NetworkSession storage s = _session(id);
        Completer storage c = _completer(s, miner);
        if (c.precommitted) revert AlreadyDone();
        _requireState(s, NetworkState.Start);
        _requireNotAfter(s.deadline);
        if (hash == 0) revert ZeroHash();
        (c.precommitted, c.elapsed, c.hash) = (true, uint16(block.timestamp - s.startedAt), hash);
        ++s.precommits;
        emit SessionPrecommitted(id, miner);
        if (s.precommits == _completers(s).length) _closePrecommit(id, s, false);
    }

    function _endPrecommit(uint256 id) internal {
        NetworkSession storage s = _session(id);
        _requireState(s, NetworkState.Start);
        _requireAfter(s.deadline);
        _closePrecommit(id, s, true);
    }

    function _closePrecommit(uint256 id, NetworkSession storage s, bool forced) private {
        s.state = NetworkState.Precommit;
        s.deadline = uint40(block.timestamp + COMMIT_WINDOW);
        s.closedBlock = uint64(block.number);
        emit SessionAllPrecommitted(id, _completersThat(s, false), forced);
        if (s.precommits == 0) return _finish(id, s);
        // The nodes that are present now take part in the next draw. Nobody can know its seed yet.
        _freeze();
    }

    function _commit(uint256 id, address miner, string calldata completion, uint256 salt) internal {
        NetworkSession storage s = _session(id);
        Completer storage c = _completer(s, miner);
        if (c.committed) revert AlreadyDone();
        _requireState(s, NetworkState.Precommit);
        if (!c.precommitted) revert NotPrecommitted(miner);
        _requireNotAfter(s.deadline);
        // The block's hash must not depend on the reveals, so they are accepted only in later blocks.
        if (block.number <= s.closedBlock) revert TooEarly(block.number, s.closedBlock);
        _requireText(completion, MAX_COMPLETION_BYTES);
        bytes32 hash = _completionHash(id, miner, completion, salt);
        if (hash != c.hash) revert HashMismatch(hash, c.hash);

        if (s.commits == 0) s.beacon = blockhash(s.closedBlock);
        s.salts ^= keccak256(abi.encode(miner, salt));
        c.committed = true;
        ++s.commits;
        ++temporaryCompletionResultCounter;
        (bool packed, bytes32 contentDigest) = ContentAddress.pack(completion);
        if (packed) _completionDigests[hash] = contentDigest;
        else _completionTexts[hash] = completion;
        emit SessionCommitted(id, miner);
        if (s.commits == s.precommits) _closeCommit(id, s);
    }

    function _closeCommit(uint256 id, NetworkSession storage s) private {
        s.state = NetworkState.Commit;
        s.deadline = uint40(block.timestamp + VERDICT_WINDOW);
        emit SessionAllCommitted(id, _completersThat(s, true));
        if (s.commits == 0) return _finish(id, s);
        _nextSeed = uint256(keccak256(abi.encode(s.seed, s.beacon, s.salts)));
    }

    // ---------------------------------------------------------------- verdict and end

    function _judge(uint256 id, address validator, uint256[] calldata accuraciesBps) internal {
        NetworkSession storage s = _session(id);
        _requireState(s, NetworkState.Commit);
        _requireNotAfter(s.deadline);
        Completer[] storage completers = _completers(s);
        uint256 count = completers.length;
        if (accuraciesBps.length != count) revert WrongNumber(accuraciesBps.length, count);
        uint256 accepted;
        for (uint256 i; i < count; ++i) {
            Completer storage c = completers[i];
            uint256 most = c.committed ? BPS : 0;
            if (accuraciesBps[i] > most) revert VerdictTooLarge(accuraciesBps[i], most);
            c.accuracyBps = uint16(accuraciesBps[i]);
            if (accuraciesBps[i] != 0) ++accepted;
        }
        s.validator = validator;
        emit SessionJudged(id, validator, accuraciesBps);
        // Compute credits and outcomes of the judged phase before the session moves on.
        Credit[] memory credits = _credits(s);
        Outcome[] memory outcomes = _outcomesOf(s);
        if (_goesOn(s, accepted)) _nextPhase(id, s, accepted);
        else _close(id, s);
        _record(outcomes);
        if (accepted != 0) rewards.credit(credits);
    }

    /// @dev The seed that this phase made is used for the next phase, not for the next round. The roll stays frozen
    ///      for it.
    function _nextPhase(uint256 id, NetworkSession storage s, uint256 accepted) private {
        _openPhase(id, s, _nextSeed, accepted);
        _nextSeed = 0;
        s.deadline = uint40(block.timestamp + START_WINDOW);
    }

    /// @dev Ends the session's current stage, which must be past its deadline.
    function _force(uint256 id) internal {
        NetworkSession storage s = _session(id);
        if (s.state == NetworkState.End) revert AlreadyEnded();
        if (s.state == NetworkState.Create) return _nextPreparer(id);
        _requireAfter(s.deadline);
        if (s.state == NetworkState.Start) _closePrecommit(id, s, true);
        else if (s.state == NetworkState.Precommit) _closeCommit(id, s);
        else _finish(id, s);
    }

    /// @dev Ends the session without a verdict.
    function _finish(uint256 id, NetworkSession storage s) private {
        Outcome[] memory outcomes = _outcomesOf(s);
        _close(id, s);
        _record(outcomes);
    }

    function _close(uint256 id, NetworkSession storage s) private {
        s.state = NetworkState.End;
        s.endedAt = uint40(block.timestamp);
        // Only the session of the latest request can still be open.
        _requests[requestCounter].closed = true;
        if (_nextSeed == 0) _unfreeze();
        emit SessionEnded(id, block.timestamp);
    }

    function _outcomesOf(NetworkSession storage s) private view returns (Outcome[] memory) {
        return _outcomes(s, _isOnRoll(_requests[requestCounter].requester));
    }

    // ---------------------------------------------------------------- pings

    function _pingAndCount(address node) internal {
        _ping(node);
        Outcome[] memory outcomes = new Outcome[](1);
        outcomes[0] = Outcome(node, bitOf(NodeStage.Ping), 0, 0);
        stats.record(outcomes);
    }

    // ---------------------------------------------------------------- checks

    function _completer(NetworkSession storage s, address miner) private view returns (Completer storage) {
        (bool found, uint256 index) = _find(s, miner);
        if (!found) revert NotDrawn(miner);
        return _completers(s)[index];
    }

    function _requireState(NetworkSession storage s, NetworkState expected) private view {
        if (s.state != expected) revert WrongState(s.state, expected);
    }

    function _ones(uint8 bits) private pure returns (uint256 count) {
        for (; bits != 0; bits &= bits - 1) {
            ++count;
        }
    }
}
