// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {Batching} from "./Batching.sol";
import {ISession} from "./ISession.sol";
import {NodePool} from "./NodePool.sol";
import {RoleGuarded, RoleIds, Roles} from "./Roles.sol";
import {SessionPayment} from "./SessionPayment.sol";
import {TaskFlow} from "./TaskFlow.sol";
import {TaskMessages} from "./TaskMessages.sol";
import {Ack, Assignment, Commit, Precommit, Replacement, Submission, TaskRef, Verdict} from "./TaskTypes.sol";

/// @title The doors to a task's life, from the queue to the settlement: who may take which step.
/// @notice Miners act by their own transactions (`ack`, `precommit`, `commit`) or by signatures that anyone
///         relays, alone (`relayAck`, …) or in batches (`relayAcks`, …). A stage whose deadline has passed can
///         be forced on by anyone. What the steps do is in TaskFlow, what they keep in TaskLedger.
contract SessionQueue is TaskFlow, Batching, RoleGuarded, EIP712 {
    using TaskMessages for Ack;
    using TaskMessages for Precommit;
    using TaskMessages for Commit;
    using TaskMessages for Verdict;

    event SessionContractSet(address session);

    error WrongSigner(address expected, address recovered);
    error SessionAlreadySet(address session);

    constructor(Roles roles_, SessionPayment payment_, NodePool pool_)
        TaskFlow(payment_, pool_)
        RoleGuarded(roles_)
        EIP712("Cortensor", "1")
    {}

    /// @notice Tells the queue where sessions live: once, after deployment.
    function setSession(ISession session_) external onlyRole(RoleIds.ADMIN) {
        if (address(session) != address(0)) revert SessionAlreadySet(address(session));
        session = session_;
        emit SessionContractSet(address(session_));
    }

    // ---------------------------------------------------------------- submission

    /// @notice Takes in a task and reserves its worst case. Session, which alone calls it, has checked the
    ///         submission (see Session._check).
    function enqueue(Submission calldata submission, bytes32 digest, uint256 redundancy, uint256 modelIdentifier)
        external
        onlyRole(RoleIds.MODULE)
    {
        _enqueue(submission, digest, redundancy, modelIdentifier);
    }

    // ---------------------------------------------------------------- assignment

    /// @notice Puts miners on a queued task: at most its redundancy. For routers and oracles.
    function assignTask(uint256 sessionId, uint256 taskId, address[] calldata addrs, uint256 modelIdentifier)
        external
    {
        if (msg.sender != address(this)) _requireAssigner();
        _assign(sessionId, taskId, addrs, modelIdentifier);
    }

    function assignTasks(Assignment[] calldata items) external {
        _requireAssigner();
        for (uint256 i; i < items.length; ++i) {
            Assignment calldata a = items[i];
            _attempt(
                "assign", i, abi.encodeCall(this.assignTask, (a.sessionId, a.taskId, a.miners, a.modelIdentifier))
            );
        }
    }

    /// @notice Gives a late miner's place to another: late with its ack, or with its result. For oracles.
    function replaceMiner(uint256 sessionId, uint256 taskId, address late, address replacement) external {
        if (msg.sender != address(this)) _requireRole(RoleIds.ORACLE);
        _replace(sessionId, taskId, late, replacement);
    }

    function replaceMiners(Replacement[] calldata items) external onlyRole(RoleIds.ORACLE) {
        for (uint256 i; i < items.length; ++i) {
            Replacement calldata r = items[i];
            _attempt(
                "replace", i, abi.encodeCall(this.replaceMiner, (r.sessionId, r.taskId, r.late, r.replacement))
            );
        }
    }

    // ---------------------------------------------------------------- ack

    function ack(uint256 sessionId, uint256 taskId) external {
        _ack(sessionId, taskId, msg.sender);
    }

    function relayAck(Ack calldata item, bytes calldata signature) external {
        _requireSigned(item.sessionId, item.taskId, item.taskDigest, item.miner, item.structHash(), signature);
        _ack(item.sessionId, item.taskId, item.miner);
    }

    function relayAcks(Ack[] calldata items, bytes[] calldata signatures) external {
        _requireSameLength(items.length, signatures.length);
        for (uint256 i; i < items.length; ++i) {
            _attempt("ack", i, abi.encodeCall(this.relayAck, (items[i], signatures[i])));
        }
    }

    // ---------------------------------------------------------------- precommit

    /// @notice Fixes the sender's result by its hash (see commitHash). Implies the ack.
    /// @dev `data` belongs to the published interface; a result must stay unknown until the phase is over, so
    ///      the parameter is not used.
    function precommit(uint256 sessionId, uint256 taskId, bytes32 hash, string calldata data) external {
        data; // named for callers that pass by name
        _precommit(sessionId, taskId, msg.sender, hash);
    }

    function relayPrecommit(Precommit calldata item, bytes calldata signature) external {
        _requireSigned(item.sessionId, item.taskId, item.taskDigest, item.miner, item.structHash(), signature);
        _precommit(item.sessionId, item.taskId, item.miner, item.hash);
    }

    function relayPrecommits(Precommit[] calldata items, bytes[] calldata signatures) external {
        _requireSameLength(items.length, signatures.length);
        for (uint256 i; i < items.length; ++i) {
            _attempt("precommit", i, abi.encodeCall(this.relayPrecommit, (items[i], signatures[i])));
        }
    }

    /// @notice Ends the precommit phase after its deadline; who has not precommitted is out. When nobody has,
    ///         the task ends and its money returns to the session.
    /// @param emitAllPrecommitted whether to emit TaskAllPrecommitted with those who have
    function endPrecommit(uint256 sessionId, uint256 taskId, bool emitAllPrecommitted) external {
        _endPrecommit(sessionId, taskId, emitAllPrecommitted);
    }

    function endPrecommits(TaskRef[] calldata items) external {
        _attemptEach("end_precommit", this.endPrecommit.selector, items, false);
    }

    // ---------------------------------------------------------------- commit

    /// @notice Reveals the sender's result, once the precommit phase is over.
    function commit(uint256 sessionId, uint256 taskId, string calldata data) external {
        _commit(sessionId, taskId, msg.sender, data);
    }

    function relayCommit(Commit calldata item, bytes calldata signature) external {
        _requireSigned(item.sessionId, item.taskId, item.taskDigest, item.miner, item.structHash(), signature);
        _commit(item.sessionId, item.taskId, item.miner, item.data);
    }

    function relayCommits(Commit[] calldata items, bytes[] calldata signatures) external {
        _requireSameLength(items.length, signatures.length);
        for (uint256 i; i < items.length; ++i) {
            _attempt("commit", i, abi.encodeCall(this.relayCommit, (items[i], signatures[i])));
        }
    }

    /// @notice Ends the commit phase after its deadline. When nobody has revealed, the task ends and its money
    ///         returns to the session.
    /// @param emitAllCommitted whether to emit TaskAllCommitted with those who have revealed
    /// @return always true: what cannot be ended reverts
    function endCommit(uint256 sessionId, uint256 taskId, bool emitAllCommitted) external returns (bool) {
        _endCommit(sessionId, taskId, emitAllCommitted);
        return true;
    }

    function endCommits(TaskRef[] calldata items) external {
        _attemptEach("end_commit", this.endCommit.selector, items, false);
    }

    // ---------------------------------------------------------------- verdict and end

    /// @notice Judges one miner's result. For validators; the first verdict on a miner counts.
    function verdict(Verdict calldata item) external onlyRole(RoleIds.VALIDATOR) {
        _requireDigest(_task(item.sessionId, item.taskId), item.taskDigest);
        _verdict(item, msg.sender);
    }

    function relayVerdict(Verdict calldata item, bytes calldata signature) external {
        _requireDigest(_task(item.sessionId, item.taskId), item.taskDigest);
        address validator = ECDSA.recoverCalldata(_hashTypedDataV4(item.structHash()), signature);
        if (!roles.hasRole(RoleIds.VALIDATOR, validator)) revert MissingRole(validator, RoleIds.VALIDATOR);
        _verdict(item, validator);
    }

    function relayVerdicts(Verdict[] calldata items, bytes[] calldata signatures) external {
        _requireSameLength(items.length, signatures.length);
        for (uint256 i; i < items.length; ++i) {
            _attempt("verdict", i, abi.encodeCall(this.relayVerdict, (items[i], signatures[i])));
        }
    }

    /// @notice Ends a task that cannot go on. With `forceEnd`, after the deadline of the stage that it is stuck
    ///         in: not assigned, nobody precommitted, nobody revealed, or not judged in time. Who has its
    ///         verdict has been paid; the rest returns to the session. Without, there is never anything to
    ///         do: a task ends by itself with its last verdict.
    function end(uint256 sessionId, uint256 taskId, bool forceEnd) external {
        _end(sessionId, taskId, forceEnd);
    }

    /// @notice `end` by force, for many tasks.
    function endTasks(TaskRef[] calldata items) external {
        _attemptEach("end_task", this.end.selector, items, true);
    }

    // ---------------------------------------------------------------- views

    function isOracleNode(address addr) external view returns (bool) {
        return roles.hasRole(RoleIds.ORACLE, addr);
    }

    function isPrimaryModule(address addr) external view returns (bool) {
        return roles.hasRole(RoleIds.MODULE, addr);
    }

    // ---------------------------------------------------------------- inside

    /// @dev The three ways to force a task on take the same parameters.
    function _attemptEach(bytes32 kind, bytes4 selector, TaskRef[] calldata items, bool flag) private {
        for (uint256 i; i < items.length; ++i) {
            _attempt(kind, i, abi.encodeWithSelector(selector, items[i].sessionId, items[i].taskId, flag));
        }
    }

    function _requireSigned(
        uint256 sessionId,
        uint256 taskId,
        bytes32 taskDigest,
        address signer,
        bytes32 structHash,
        bytes calldata signature
    ) private view {
        _requireDigest(_task(sessionId, taskId), taskDigest);
        address recovered = ECDSA.recoverCalldata(_hashTypedDataV4(structHash), signature);
        if (recovered != signer) revert WrongSigner(signer, recovered);
    }

    function _requireAssigner() private view {
        if (!roles.hasRole(RoleIds.ORACLE, msg.sender)) _requireRole(RoleIds.ROUTER);
    }

    function _requireSameLength(uint256 items, uint256 signatures) private pure {
        if (items != signatures) revert LengthsDiffer(items, signatures);
    }
}
