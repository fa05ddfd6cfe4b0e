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

/// @title The entry points for network tasks, the work of idle nodes, by which they prove themselves.
/// @notice The stages are Request → Create → Prepare → Start → Precommit → Commit → End. A randomly drawn creator makes
///         the virtual block (domain, subdomain), preparers write prompts, completers answer one of the prompts, and a
///         validator judges the answers.
///         For functions with a signature: if it is empty, the sender acts for itself. Otherwise it is an EIP-712
///         signature (see NetworkMessages), and its signer acts, so that anyone can relay for a node without gas.
///         Anyone can end a stage by force after its deadline.
///         NetworkFlow has the steps, NetworkLedger the storage, NodeRoll the draws, and NetworkPhases the transition
///         between phases. Clients also call this contract for the views, which are in NetworkViews.
/// @dev Calls of functions that this contract does not have are delegated to NetworkViews: together they would exceed
///      the size limit of a contract (EIP-170). NetworkLedger is the first base of both, so they have the same storage
///      layout. The address of NetworkViews is immutable.
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

    /// @notice Sets the seconds for which a node that was drawn to answer is not drawn again. Takes effect at the next
    ///         freeze of the roll.
    function setMinerCooldownPeriod(uint256 cooldownSeconds) external onlyRole(RoleIds.ADMIN) {
        _setCooldown(cooldownSeconds);
    }

    // ---------------------------------------------------------------- presence

    /// @notice Records that the sender, a registered node, is present, so that it can be drawn.
    function ping() external {
        _pingAndCount(msg.sender);
    }

    /// @notice Relays a node's signed ping. It is accepted once: the next one must have a later time.
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

    /// @notice Requests the next network task. Anyone may call it once the previous task has ended.
    function request() external {
        _request(msg.sender);
    }

    /// @notice Draws the creators, if the block of the seed had to be awaited, or passes a late creator's turn to the
    ///         next one. After the last creator's turn the request is closed.
    function requestNextCreator() external {
        _nextCreator();
    }

    /// @notice Makes the virtual block. Only the creator whose turn it is may call it, before its deadline.
    /// @return the new session's number
    function create(string calldata domain, string calldata subdomain) external returns (uint256) {
        return _create(msg.sender, domain, subdomain);
    }

    /// @notice Like `create`, with the creator's signature over NetworkCreate.
    function relayCreate(string calldata domain, string calldata subdomain, bytes calldata signature)
        external
        returns (uint256)
    {
        uint256 seed = _requests[requestCounter].seed;
        bytes32 structHash = NetworkMessages.create(requestCounter, seed, domain, subdomain);
        return _create(_recover(structHash, signature), domain, subdomain);
    }

    /// @notice Like `create`, for a task of several phases (see NetworkPhases).
    /// @param phases the phases after the first one: one to MAX_FURTHER_PHASES
    /// @param signature the creator's signature over NetworkCreatePhased, or empty
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

    /// @notice Delivers prompts. Only the preparer whose turn it is may call it, before its deadline.
    /// @param challenges one to thresholdPrepareChallenge prompts, or content addresses of prompts
    /// @param signature the preparer's signature over NetworkPrepare, or empty
    /// @param seed the session's seed, or 0. It identifies the session even if a fork has changed its number.
    function prepare(uint256 id, string[] calldata challenges, bytes calldata signature, uint256 seed) external {
        uint256 actual = _requireSeed(id, seed);
        _prepare(id, _actor(NetworkMessages.prepare(id, actual, challenges), signature), challenges);
    }

    /// @notice Passes the turn of a late preparer of the latest session to the next one. After the last preparer, the
    ///         session continues with the prompts that were delivered, or ends if there are none.
    function requestNextPreparer() external {
        _nextPreparer(sessionCounter);
    }

    /// @notice Draws the completers of a phase, and in the first phase also their prompt. Anyone may call it.
    function start(uint256 id) external {
        _start(id);
    }

    // ---------------------------------------------------------------- precommit and commit

    /// @notice Fixes a completer's answer by its hash.
    /// @param hash `keccak256(abi.encode(id, sessionSeed, miner, completion, salt))` with the types uint256, uint256,
    ///        address, string and uint256 (see getSessionSeed and completionHash)
    /// @param signature the completer's signature over NetworkPrecommit, or empty
    /// @param seed the session's seed, or 0 (see prepare). Not the salt, which stays secret until `commit`.
    function precommit(uint256 id, bytes32 hash, bytes calldata signature, uint256 seed) external {
        uint256 actual = _requireSeed(id, seed);
        _precommit(id, _actor(NetworkMessages.precommit(id, actual, hash), signature), hash);
    }

    /// @notice Calls `precommit` for many completers. Invalid elements are skipped.
    function relayPrecommits(NetworkPrecommit[] calldata items, bytes[] calldata signatures) external {
        _requireSameLength(items.length, signatures.length);
        for (uint256 i; i < items.length; ++i) {
            NetworkPrecommit calldata item = items[i];
            bytes memory call = abi.encodeCall(this.precommit, (item.id, item.hash, signatures[i], item.seed));
            _attempt("precommit", i, call);
        }
    }

    /// @notice Ends the precommit phase after its deadline. If no completer has precommitted, the session ends.
    function endPrecommit(uint256 id) external {
        _endPrecommit(id);
    }

    /// @notice Reveals a completer's answer. Possible from the block after the end of the precommit phase on.
    /// @param completion the answer, or its content address
    /// @param signature the completer's signature over NetworkCommit, or empty
    /// @param seed the salt of the precommitted hash. It is not the session's seed; the name is that of the published
    ///        interface.
    function commit(uint256 id, string calldata completion, bytes calldata signature, uint256 seed) external {
        bytes32 structHash = NetworkMessages.commit(id, _session(id).seed, completion, seed);
        _commit(id, _actor(structHash, signature), completion, seed);
    }

    /// @notice Calls `commit` for many completers. Invalid elements are skipped.
    function relayCommits(NetworkCommit[] calldata items, bytes[] calldata signatures) external {
        _requireSameLength(items.length, signatures.length);
        for (uint256 i; i < items.length; ++i) {
            NetworkCommit calldata item = items[i];
            bytes memory call = abi.encodeCall(this.commit, (item.id, item.completion, signatures[i], item.salt));
            _attempt("commit", i, call);
        }
    }

    // ---------------------------------------------------------------- verdict and end

    /// @notice Judges all completions of a phase and credits all participants with their points. Ends the session
    ///         unless another phase follows.
    /// @param accuraciesBps accuracies in basis points, in the order of the session's miners; 0 for a miner that has
    ///        not revealed
    /// @param signature a validator's signature over NetworkVerdict, or empty if the sender is a validator
    function judge(uint256 id, uint256[] calldata accuraciesBps, bytes calldata signature) external {
        address validator = _actor(NetworkMessages.verdict(id, _session(id).seed, accuraciesBps), signature);
        if (!roles.hasRole(RoleIds.VALIDATOR, validator)) revert MissingRole(validator, RoleIds.VALIDATOR);
        _judge(id, validator, accuraciesBps);
    }

    /// @notice With `forceEnd`, ends the session's current stage after its deadline. For a session that waits for its
    ///         start or its verdict, this is the end of the session. No points are credited without a verdict. Without
    ///         `forceEnd` there is never anything to do, since a session ends with its verdict.
    function end(uint256 id, bool forceEnd) external {
        NetworkState state = _session(id).state;
        if (!forceEnd && state != NetworkState.End) revert WrongState(state, NetworkState.End);
        _force(id);
    }

    /// @notice Calls `end` with `forceEnd`.
    function resetState(uint256 id) external {
        _force(id);
    }

    // ---------------------------------------------------------------- draws and signers

    /// @notice Draws nodes from the latest frozen roll with the latest request's seed, so that callers can try a draw.
    ///         No session depends on it. Removes absent nodes from the roll if no round depends on the roll.
    /// @param numberOfMiners the number of nodes to draw, at most thresholdMiner
    /// @param cooldownPeriod the seconds for which a node that was drawn to answer is excluded
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

    /// @dev The acting account: the signer, or the sender if there is no signature.
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
