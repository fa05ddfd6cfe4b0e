// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Batching} from "../common/Batching.sol";
import {Board} from "./Board.sol";
import {NodePool} from "../node/NodePool.sol";
import {RoleGuarded, RoleIds, Roles} from "../common/Roles.sol";
import {SessionPayment} from "../money/SessionPayment.sol";
import {TaskFlow} from "./TaskFlow.sol";
import {TaskOverdue} from "./TaskOverdue.sol";
import {TaskTerms} from "./TaskTerms.sol";
import {Replacement, TaskRef, TaskStatus} from "./TaskTypes.sol";
import {TaskViews} from "./TaskViews.sol";
import {Versioned} from "../common/Versioned.sol";

/// @title The doors to what can be done about overdue tasks, and the published views.
/// @notice A late miner's place can be given to another, a stage whose deadline has passed forced on, a task
///         that cannot go on ended: by anyone. Ask all of it of SessionQueue, which runs this code on its own
///         tasks; this contract by itself has none.
contract OverdueTasks is TaskOverdue, TaskViews, Batching, Versioned {
    using TaskTerms for uint256;

    constructor(Roles roles_, SessionPayment payment_, NodePool pool_)
        TaskFlow(payment_, pool_)
        RoleGuarded(roles_)
    {}

    // ---------------------------------------------------------------- replacement

    /// @notice Gives a late miner's place to another of the oracle's choice: late with its ack, or with its
    ///         result. Only until the draw opens: see CHOICE_WINDOW.
    function replaceMiner(uint256 sessionId, uint256 taskId, address late, address replacement)
        external
        onlyRole(RoleIds.ORACLE)
    {
        _orRevert(_replace(sessionId, taskId, late, replacement));
    }

    function replaceMiners(Replacement[] calldata items) external onlyRole(RoleIds.ORACLE) {
        for (uint256 i; i < items.length; ++i) {
            Replacement calldata r = items[i];
            _report("replace", i, _replace(r.sessionId, r.taskId, r.late, r.replacement));
        }
    }

    /// @notice Gives a late miner's place to the next of a draw that nobody chooses. For anyone, once the
    ///         oracle's time is over: see DRAW_PERIOD.
    function replaceMinerByDraw(uint256 sessionId, uint256 taskId, address late) external {
        _orRevert(_replaceByDraw(sessionId, taskId, late));
    }

    // ---------------------------------------------------------------- the stages' ends

    /// @notice Ends the time for acks: gives the places of all miners that have neither acked nor precommitted to
    ///         the next of a draw, as replaceMinerByDraw does for one, and when it does.
    function endAck(uint256 sessionId, uint256 taskId) external {
        _orRevert(_endAck(sessionId, taskId));
    }

    /// @notice Ends the precommit phase after its deadline; who has not precommitted is out. When nobody has,
    ///         the task ends and its money returns to the session. For oracles; for anyone after GRACE_WINDOW.
    /// @param emitAllPrecommitted whether to emit TaskAllPrecommitted with those who have
    function endPrecommit(uint256 sessionId, uint256 taskId, bool emitAllPrecommitted) external {
        _orRevert(_endPrecommit(sessionId, taskId, emitAllPrecommitted));
    }

    function endPrecommits(TaskRef[] calldata items) external {
        for (uint256 i; i < items.length; ++i) {
            _report("end_precommit", i, _endPrecommit(items[i].sessionId, items[i].taskId, false));
        }
    }

    /// @notice Ends the commit phase after its deadline; who has precommitted and not revealed loses stake.
    ///         When nobody has revealed, the task ends and its money returns to the session.
    /// @param emitAllCommitted whether to emit TaskAllCommitted with those who have revealed
    /// @return always true: what cannot be ended reverts
    function endCommit(uint256 sessionId, uint256 taskId, bool emitAllCommitted) external returns (bool) {
        _orRevert(_endCommit(sessionId, taskId, emitAllCommitted));
        return true;
    }

    function endCommits(TaskRef[] calldata items) external {
        for (uint256 i; i < items.length; ++i) {
            _report("end_commit", i, _endCommit(items[i].sessionId, items[i].taskId, false));
        }
    }

    /// @notice Ends a task that cannot go on and returns its money to the session. With `forceEnd`, after the
    ///         deadline of the stage that it is stuck in: not assigned, nobody precommitted (for oracles; for
    ///         anyone after GRACE_WINDOW), nobody revealed, or not judged in time. Without, there is never
    ///         anything to do: a task ends by itself with its verdict.
    function end(uint256 sessionId, uint256 taskId, bool forceEnd) external {
        _orRevert(_end(sessionId, taskId, forceEnd));
    }

    /// @notice The same: the published interface has both.
    function end2(uint256 sessionId, uint256 taskId, bool forceEnd) external {
        _orRevert(_end(sessionId, taskId, forceEnd));
    }

    /// @notice `end` by force, for many tasks.
    function endTasks(TaskRef[] calldata items) external {
        for (uint256 i; i < items.length; ++i) {
            _report("end_task", i, _end(items[i].sessionId, items[i].taskId, true));
        }
    }

    // ---------------------------------------------------------------- views

    /// @notice Whether the queue reports to a contract of sessions' statistics: there is none. How many tasks a
    ///         session has is counted here (getTaskCountBySessionId), how miners do in NodePool.
    bool public constant getUseSessionStats = false;

    /// @notice What a task holds of the session's money now, in wei.
    function reservedOf(uint256 sessionId, uint256 taskId) external view returns (uint256) {
        Task storage task = _slot(sessionId, taskId);
        Board board = task.board;
        if (board.isEmpty() || board.status() == TaskStatus.Ended) return 0;
        uint256 plan = _planOf(sessionId, task, board);
        uint256 maxTokens = uint256(uint160(plan)).maxTokens();
        return payment.worstCaseOf(_priceIdIn(plan), _redundancyIn(plan), board.maxInputTokens(), maxTokens);
    }

    function getSessionPaymentAddress() external view returns (address) {
        return address(payment);
    }

    function getNodePoolAddress() external view returns (address) {
        return address(pool);
    }

    function isOracleNode(address addr) external view returns (bool) {
        return _isOracle(addr);
    }

    function isPrimaryModule(address addr) external view returns (bool) {
        return roles.hasRole(RoleIds.MODULE, addr);
    }

    // ---------------------------------------------------------------- inside

    function _isOracle(address account) internal view override returns (bool) {
        return roles.hasRole(RoleIds.ORACLE, account);
    }
}
