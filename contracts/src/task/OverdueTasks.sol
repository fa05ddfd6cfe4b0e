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

/// @title The entry points for overdue tasks, and the published views of tasks.
/// @notice A late miner can be replaced, a stage can be ended after its deadline, and a task that cannot continue can
///         be ended, in the end by anyone. Clients call SessionQueue, which runs this code on its own storage. This
///         contract has no tasks of its own.
contract OverdueTasks is TaskOverdue, TaskViews, Batching, Versioned {
    using TaskTerms for uint256;

    constructor(Roles roles_, SessionPayment payment_, NodePool pool_)
        TaskFlow(payment_, pool_)
        RoleGuarded(roles_)
    {}

    // ---------------------------------------------------------------- replacement

    /// @notice Replaces a miner that is late with its ack or its result by a miner of the oracle's choice. Possible
    ///         until the draw opens: see CHOICE_WINDOW.
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

    /// @notice Replaces a late miner by a draw whose result nobody can choose. Anyone may call it once the oracle's
    ///         time to choose has passed: see DRAW_PERIOD.
    function replaceMinerByDraw(uint256 sessionId, uint256 taskId, address late) external {
        _orRevert(_replaceByDraw(sessionId, taskId, late));
    }

    // ---------------------------------------------------------------- the stages' ends

    /// @notice Ends the time for acks: replaces all miners that have neither acked nor precommitted by a draw, at the
    ///         same time and in the same way as replaceMinerByDraw.
    function endAck(uint256 sessionId, uint256 taskId) external {
        _orRevert(_endAck(sessionId, taskId));
    }

    /// @notice Ends the precommit phase after its deadline. Miners that have not precommitted lose their places. If no
    ///         miner has precommitted, the task ends and its money returns to the session. Callable by oracles, and by
    ///         anyone after GRACE_WINDOW.
    /// @param emitAllPrecommitted whether to emit TaskAllPrecommitted with the miners that have precommitted
    function endPrecommit(uint256 sessionId, uint256 taskId, bool emitAllPrecommitted) external {
        _orRevert(_endPrecommit(sessionId, taskId, emitAllPrecommitted));
    }

    function endPrecommits(TaskRef[] calldata items) external {
        for (uint256 i; i < items.length; ++i) {
            _report("end_precommit", i, _endPrecommit(items[i].sessionId, items[i].taskId, false));
        }
    }

    /// @notice Ends the commit phase after its deadline. Miners that have precommitted but not revealed lose stake. If
    ///         no miner has revealed, the task ends and its money returns to the session.
    /// @param emitAllCommitted whether to emit TaskAllCommitted with the miners that have revealed
    /// @return always true: the call reverts if the phase cannot be ended
    function endCommit(uint256 sessionId, uint256 taskId, bool emitAllCommitted) external returns (bool) {
        _orRevert(_endCommit(sessionId, taskId, emitAllCommitted));
        return true;
    }

    function endCommits(TaskRef[] calldata items) external {
        for (uint256 i; i < items.length; ++i) {
            _report("end_commit", i, _endCommit(items[i].sessionId, items[i].taskId, false));
        }
    }

    /// @notice Ends a task that cannot continue, and returns its money to the session. With `forceEnd`, the task can
    ///         be ended after the deadline of the stage in which it is stuck: it is not assigned, no miner has
    ///         precommitted (by oracles; by anyone after GRACE_WINDOW), no miner has revealed, or it was not judged in
    ///         time. Without `forceEnd` there is never anything to do, since a task ends with its verdict.
    function end(uint256 sessionId, uint256 taskId, bool forceEnd) external {
        _orRevert(_end(sessionId, taskId, forceEnd));
    }

    /// @notice Another name of `end`. The published interface has both.
    function end2(uint256 sessionId, uint256 taskId, bool forceEnd) external {
        _orRevert(_end(sessionId, taskId, forceEnd));
    }

    /// @notice Calls `end` with `forceEnd` for many tasks.
    function endTasks(TaskRef[] calldata items) external {
        for (uint256 i; i < items.length; ++i) {
            _report("end_task", i, _end(items[i].sessionId, items[i].taskId, true));
        }
    }

    // ---------------------------------------------------------------- views

    /// @notice Whether the queue reports to a separate contract for session statistics. There is none: this contract
    ///         counts a session's tasks (getTaskCountBySessionId), and NodePool keeps the reputations of miners.
    bool public constant getUseSessionStats = false;

    /// @notice The amount of the session's money that a task has reserved now, in wei.
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
