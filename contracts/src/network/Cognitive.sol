// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {CallBatching} from "../common/CallBatching.sol";
import {Companion} from "../common/Companion.sol";
import {NetworkFlow} from "./NetworkFlow.sol";
import {NetworkMessages} from "./NetworkMessages.sol";
import {NetworkRewards} from "../money/NetworkRewards.sol";
import {NetworkCommit, NetworkPhase, NetworkPrecommit, NetworkState, Ping} from "./NetworkTypes.sol";
import {NetworkViews} from "./NetworkViews.sol";
import {NodePool} from "../node/NodePool.sol";
import {NodeReputation} from "../node/NodeReputation.sol";
import {NodeStats} from "../node/NodeStats.sol";
import {RoleGuarded, RoleIds, Roles} from "../common/Roles.sol";
import {Versioned} from "../common/Versioned.sol";

/// @title The doors to network tasks: idle nodes' work, by which they prove themselves.
/// @notice Request → Create → Prepare → Start → Precommit → Commit → End. A creator, drawn by lot, makes the
///         virtual block (domain, subdomain), preparers write prompts, completers answer one of them, a
///         validator judges. Where a function takes a signature: an empty one means that the sender acts for
///         itself; any other is EIP-712 (see NetworkMessages), and whoever signed it acts, so that anyone may
///         relay for a node that has no gas. A stage whose deadline has passed can be forced on by anyone.
///         What the steps do is in NetworkFlow, what they keep in NetworkLedger, who is drawn in NodeRoll, how one
///         phase leads to the next in NetworkPhases. The views are in NetworkViews; clients call this contract
///         for all of it.
/// @dev Whatever this contract has no function for goes to NetworkViews, by delegatecall: together they would
///      not fit into one contract (EIP-170). NetworkLedger comes first in both; the address is immutable.
contract Cognitive is NetworkFlow, CallBatching, Versioned, EIP712, Companion {
    NetworkViews public immutable views;

    error PingExpired(uint256 time, uint256 now_);
    error WrongSigner(address expected, address recovered);

    constructor(
        Roles roles_,
        NodePool pool_,
        NodeStats stats_,
        NodeReputation reputation_,
        NetworkRewards rewards_,
        NetworkViews views_
    ) NetworkFlow(pool_, stats_, reputation_, rewards_) RoleGuarded(roles_) EIP712("Cortensor", "1") {
        views = views_;
    }

    /// @notice Sets for how long a node that was drawn to answer is left alone. Holds from the next freeze on.
    function setMinerCooldownPeriod(uint256 cooldownSeconds) external onlyRole(RoleIds.ADMIN) {
        _setCooldown(cooldownSeconds);
    }

    // ---------------------------------------------------------------- presence

    /// @notice "I am there": puts the sender, a registered node, among those that can be drawn.
    function ping() external {
        _pingAndCount(msg.sender);
    }

    /// @notice Relays a node's signed ping. It counts once: the next one must be signed later.
    function relayPing(Ping calldata item, bytes calldata signature) external {
        if (item.time > block.timestamp || block.timestamp - item.time > PING_LIFETIME) {
            revert PingExpired(item.time, block.timestamp);
        }
        address signer = _recover(NetworkMessages.ping(item.node, item.time), signature);
        if (signer != item.node) revert WrongSigner(item.node, signer);
        _requireNewPing(item.node, item.time);
        _pingAndCount(item.node);
    }

    function relayPings(Ping[] calldata items, bytes[] calldata signatures) external {
        _requireSameLength(items.length, signatures.length);
        for (uint256 i; i < items.length; ++i) {
            _attempt("ping", i, abi.encodeCall(this.relayPing, (items[i], signatures[i])));
        }
    }

    // ---------------------------------------------------------------- request and create

    /// @notice Asks for the next network task. Anyone may, once the one before has ended.
    function request() external {
        _request(msg.sender);
    }

    /// @notice Draws the creators, where the seed's block had to be awaited, or passes a late creator's turn to
    ///         the next one. After the last one the request is given up.
    function requestNextCreator() external {
        _nextCreator();
    }

    /// @notice Makes the virtual block. For the creator whose turn it is, before its deadline.
    /// @return the new session's number
    function create(string calldata domain, string calldata subdomain) external returns (uint256) {
        return _create(msg.sender, domain, subdomain);
    }

    /// @notice The same by the creator's signature of NetworkCreate.
    function relayCreate(string calldata domain, string calldata subdomain, bytes calldata signature)
        external
        returns (uint256)
    {
        uint256 seed = _requests[requestCounter].seed;
        bytes32 structHash = NetworkMessages.create(requestCounter, seed, domain, subdomain);
        return _create(_recover(structHash, signature), domain, subdomain);
    }

    /// @notice `create` for a task of several phases: see NetworkPhases.
    /// @param phases what follows the first phase, one to MAX_FURTHER_PHASES
    /// @param signature the creator's of NetworkCreatePhased, or empty
    function createPhased(
        string calldata domain,
        string calldata subdomain,
        NetworkPhase[] calldata phases,
        bytes calldata signature
    ) external returns (uint256) {
        uint256 seed = _requests[requestCounter].seed;
        bytes32 structHash = NetworkMessages.createPhased(requestCounter, seed, domain, subdomain, phases);
        return _createPhased(_actor(structHash, signature), domain, subdomain, phases);
    }

    // ---------------------------------------------------------------- prepare and start

    /// @notice Writes prompts. For the preparer whose turn it is, before its deadline.
    /// @param challenges one to thresholdPrepareChallenge prompts, or content addresses of prompts
    /// @param signature the preparer's of NetworkPrepare, or empty
    /// @param seed the session's, to be sure which session is meant whatever a fork did to its number; or 0
    function prepare(uint256 id, string[] calldata challenges, bytes calldata signature, uint256 seed) external {
        uint256 actual = _requireSeed(id, seed);
        _prepare(id, _actor(NetworkMessages.prepare(id, actual, challenges), signature), challenges);
    }

    /// @notice Passes a late preparer's turn, in the latest session, to the next one. After the last one the
    ///         session goes on with the prompts that there are, or ends without any.
    function requestNextPreparer() external {
        _nextPreparer(sessionCounter);
    }

    /// @notice Draws the completers of a phase, and in the first one the prompt that they answer. Anyone may.
    function start(uint256 id) external {
        _start(id);
    }

    // ---------------------------------------------------------------- precommit and commit

    /// @notice Fixes a completer's answer.
    /// @param hash exactly `keccak256(abi.encode(id, sessionSeed, miner, completion, salt))`: types uint256,
    ///        uint256 (see getSessionSeed), address, string, uint256 (see completionHash)
    /// @param signature the completer's of NetworkPrecommit, or empty
    /// @param seed the session's, or 0 (see prepare). Never the salt, which stays secret until `commit`.
    function precommit(uint256 id, bytes32 hash, bytes calldata signature, uint256 seed) external {
        uint256 actual = _requireSeed(id, seed);
        _precommit(id, _actor(NetworkMessages.precommit(id, actual, hash), signature), hash);
    }

    /// @notice `precommit` for many; one that cannot be done is skipped.
    function relayPrecommits(NetworkPrecommit[] calldata items, bytes[] calldata signatures) external {
        _requireSameLength(items.length, signatures.length);
        for (uint256 i; i < items.length; ++i) {
            NetworkPrecommit calldata item = items[i];
            bytes memory call = abi.encodeCall(this.precommit, (item.id, item.hash, signatures[i], item.seed));
            _attempt("precommit", i, call);
        }
    }

    /// @notice Ends the precommit phase after its deadline. When nobody has precommitted, the session ends.
    function endPrecommit(uint256 id) external {
        _endPrecommit(id);
    }

    /// @notice Reveals a completer's answer, once the precommit phase is over, from the next block on.
    /// @param completion the answer, or its content address
    /// @param signature the completer's of NetworkCommit, or empty
    /// @param seed the salt that went into the precommitted hash. Not the session's seed; the name is the
    ///        published one.
    function commit(uint256 id, string calldata completion, bytes calldata signature, uint256 seed) external {
        bytes32 structHash = NetworkMessages.commit(id, _session(id).seed, completion, seed);
        _commit(id, _actor(structHash, signature), completion, seed);
    }

    /// @notice `commit` for many; one that cannot be done is skipped.
    function relayCommits(NetworkCommit[] calldata items, bytes[] calldata signatures) external {
        _requireSameLength(items.length, signatures.length);
        for (uint256 i; i < items.length; ++i) {
            NetworkCommit calldata item = items[i];
            bytes memory call = abi.encodeCall(this.commit, (item.id, item.completion, signatures[i], item.salt));
            _attempt("commit", i, call);
        }
    }

    // ---------------------------------------------------------------- verdict and end

    /// @notice Judges all completions of a phase at once, which credits everybody's points, and ends the session
    ///         unless another phase follows.
    /// @param accuraciesBps in basis points, in the order of the session's miners; 0 for who has not revealed
    /// @param signature a validator's of NetworkVerdict, or empty when the sender is one
    function judge(uint256 id, uint256[] calldata accuraciesBps, bytes calldata signature) external {
        address validator = _actor(NetworkMessages.verdict(id, _session(id).seed, accuraciesBps), signature);
        if (!roles.hasRole(RoleIds.VALIDATOR, validator)) revert MissingRole(validator, RoleIds.VALIDATOR);
        _judge(id, validator, accuraciesBps);
    }

    /// @notice With `forceEnd`: forces on the stage that a session is in, after its deadline, which for a session
    ///         that waits for its start or its verdict is the end. Nobody is credited without a verdict.
    ///         Without, there is never anything to do: a session ends by itself with its verdict.
    function end(uint256 id, bool forceEnd) external {
        NetworkState state = _session(id).state;
        if (!forceEnd && state != NetworkState.End) revert WrongState(state, NetworkState.End);
        _force(id);
    }

    /// @notice `end` by force.
    function resetState(uint256 id) external {
        _force(id);
    }

    // ---------------------------------------------------------------- the draw, and who is who

    /// @notice Whom the latest frozen roll gives by the latest request's seed, for callers to try it out; no
    ///         session depends on it. Takes those off the roll that are gone, while no round depends on it.
    /// @param numberOfMiners at most thresholdMiner are drawn
    /// @param cooldownPeriod seconds for which a node that was drawn to answer is left out
    function selectRandomMiners(uint256 numberOfMiners, uint256 cooldownPeriod)
        external
        returns (address[] memory drawn)
    {
        if (numberOfMiners > COMPLETERS) revert WrongNumber(numberOfMiners, COMPLETERS);
        if (cooldownPeriod > MAX_COOLDOWN) revert CooldownTooLong(cooldownPeriod, MAX_COOLDOWN);
        drawn = _draw(_requests[requestCounter].seed, "select", numberOfMiners, cooldownPeriod);
        for (uint256 i; i < drawn.length && !_frozen; ++i) {
            _prune(drawn[i]);
        }
    }

    function isOracleNode(address addr) external view returns (bool) {
        return roles.hasRole(RoleIds.ORACLE, addr);
    }

    // ---------------------------------------------------------------- inside

    function _companion() internal view override returns (address) {
        return address(views);
    }

    /// @dev Who acts: the sender, or who signed.
    function _actor(bytes32 structHash, bytes calldata signature) private view returns (address) {
        return signature.length == 0 ? msg.sender : _recover(structHash, signature);
    }

    function _recover(bytes32 structHash, bytes calldata signature) private view returns (address) {
        return ECDSA.recoverCalldata(_hashTypedDataV4(structHash), signature);
    }

    function _requireSeed(uint256 id, uint256 given) private view returns (uint256 actual) {
        actual = _session(id).seed;
        if (given != 0 && given != actual) revert WrongSeed(given, actual);
    }

    function _requireSameLength(uint256 items, uint256 signatures) private pure {
        if (items != signatures) revert LengthsDiffer(items, signatures);
    }
}
