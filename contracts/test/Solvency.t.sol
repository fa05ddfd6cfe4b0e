// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {TaskStatus, Verdict} from "../src/TaskTypes.sol";
import {Network} from "./Network.sol";

/// @dev A handful of actors that do whatever is possible, in any order: two sessions, five miners, time that
///      passes. What is not possible at the moment is left alone, so that every call says something.
contract Actors is Network {
    uint256 private constant SESSIONS = 2;

    uint256[SESSIONS] private next;

    constructor() {
        deployNetwork();
        for (uint256 i; i < SESSIONS; ++i) {
            openSession(i + 1);
        }
    }

    function time(uint256 seconds_) external {
        vm.warp(block.timestamp + bound(seconds_, 1, 40));
    }

    function deposit(uint256 seed, uint256 amount) external {
        fund(sessionOf(seed), bound(amount, 1, 1e6));
    }

    function withdraw(uint256 seed, uint256 amount) external {
        uint256 sessionId = sessionOf(seed);
        uint256 free = payment.sessionBalance(sessionId);
        if (free == 0) return;
        vm.prank(client);
        payment.withdrawFromSession(sessionId, bound(amount, 1, free));
    }

    function submit(uint256 seed) external {
        uint256 sessionId = sessionOf(seed);
        relaySubmission(submission(sessionId, LANE + next[sessionId - 1]));
        // A poor session's task is skipped; its number is free for the next try.
        next[sessionId - 1] = tasks.getTaskCountBySessionId(sessionId);
    }

    function reprice(uint256 inputPrice, uint256 outputPrice) external {
        vm.prank(admin);
        payment.setModelPrice(MODEL, bound(inputPrice, 0, 20), bound(outputPrice, 1, 20));
    }

    function assignNext(uint256 seed) external {
        (uint256 sessionId, uint256 taskId, bool found) = taskIn(seed, TaskStatus.Queued, TaskStatus.Queued);
        (uint256 deadline,,,) = found ? tasks.getTaskDeadlines(sessionId, taskId) : (0, 0, 0, 0);
        if (!found || block.timestamp > deadline) return;
        assign(sessionId, taskId, miners(sessionId));
    }

    function replace(uint256 seed) external {
        (uint256 sessionId, uint256 taskId, bool found) = taskIn(seed, TaskStatus.Assigned, TaskStatus.Acked);
        if (!found) return;
        address late = tasks.getTask(sessionId, taskId).assignedMiners[0];
        vm.prank(oracle);
        // Too early, or the replacement is in the task: the oracle tries anyway.
        try tasks.replaceMiner(sessionId, taskId, late, miner(2 + seed % 3)) {} catch {}
    }

    function precommitSome(uint256 seed, uint256 which) external {
        (uint256 sessionId, uint256 taskId, bool found) = taskIn(seed, TaskStatus.Assigned, TaskStatus.Acked);
        if (!found) return;
        (, uint256 deadline,,) = tasks.getTaskDeadlines(sessionId, taskId);
        uint256 i = minerIn(sessionId, taskId, which);
        uint256 state = tasks.getTaskResultState(sessionId, taskId, miner(i));
        if (block.timestamp > deadline || state > uint256(TaskStatus.Acked)) return;
        precommit(sessionId, taskId, i);
    }

    function commitSome(uint256 seed, uint256 which) external {
        (uint256 sessionId, uint256 taskId, bool found) =
            taskIn(seed, TaskStatus.Precommitted, TaskStatus.Precommitted);
        if (!found) return;
        (,, uint256 deadline,) = tasks.getTaskDeadlines(sessionId, taskId);
        uint256 i = minerIn(sessionId, taskId, which);
        uint256 state = tasks.getTaskResultState(sessionId, taskId, miner(i));
        if (block.timestamp > deadline || state != uint256(TaskStatus.Precommitted)) return;
        commit(sessionId, taskId, i);
    }

    function judgeSome(uint256 seed, uint256 accuracyBps, uint256 tokens) external {
        (uint256 sessionId, uint256 taskId, bool found) = taskIn(seed, TaskStatus.Committed, TaskStatus.Committed);
        if (!found) return;
        (address[] memory assigned, string[] memory results) = tasks.getTaskResults(sessionId, taskId);
        address[] memory revealed = new address[](assigned.length);
        uint256 kept;
        for (uint256 i; i < assigned.length; ++i) {
            if (bytes(results[i]).length != 0) revealed[kept++] = assigned[i];
        }
        assembly ("memory-safe") {
            mstore(revealed, kept)
        }
        Verdict memory item = verdictOf(sessionId, taskId, revealed, bound(accuracyBps, 0, 10_000));
        item.inputTokens = bound(tokens, 0, MAX_INPUT_TOKENS);
        vm.prank(validator);
        queue.verdict(item);
    }

    function force(uint256 seed) external {
        (uint256 sessionId, uint256 taskId, bool found) = taskIn(seed, TaskStatus.Queued, TaskStatus.Committed);
        if (!found) return;
        try tasks.endPrecommit(sessionId, taskId, true) {} catch {}
        try tasks.endCommit(sessionId, taskId, true) {} catch {}
        try tasks.end(sessionId, taskId, true) {} catch {}
    }

    function withdrawPay(uint256 which) external {
        address node = miner(which % 5);
        if (payment.owedTo(node) == 0) return;
        vm.prank(relayer);
        payment.withdrawNodePaymentFor(node);
    }

    // ---------------------------------------------------------------- what must hold

    function checkSolvency() external view {
        assertSolvent();
        uint256 balances;
        uint256 reserved;
        for (uint256 sessionId = 1; sessionId <= SESSIONS; ++sessionId) {
            balances += payment.sessionBalance(sessionId);
            for (uint256 n; n < tasks.getTaskCountBySessionId(sessionId); ++n) {
                uint256 held = tasks.reservedOf(sessionId, LANE + n);
                reserved += held;
                if (tasks.getTaskStatus(sessionId, LANE + n) == uint256(TaskStatus.Ended)) {
                    assertEq(held, 0, "an ended task holds nothing");
                }
            }
        }
        uint256 owed;
        for (uint256 i; i < 5; ++i) {
            owed += payment.owedTo(miner(i));
        }
        assertEq(payment.totalBalance(), balances, "sum of the sessions' balances");
        assertEq(payment.totalReserved(), reserved, "sum of what tasks hold");
        assertEq(payment.totalOwed(), owed, "sum of what nodes are owed");
    }

    // ---------------------------------------------------------------- choices

    function sessionOf(uint256 seed) private pure returns (uint256) {
        return 1 + seed % SESSIONS;
    }

    /// @dev The first task of a session, counted from a random one, whose status lies in a range.
    function taskIn(uint256 seed, TaskStatus least, TaskStatus most)
        private
        view
        returns (uint256 sessionId, uint256 taskId, bool found)
    {
        sessionId = sessionOf(seed);
        uint256 count = next[sessionId - 1];
        for (uint256 n; n < count; ++n) {
            taskId = LANE + (seed / SESSIONS % count + n) % count;
            uint256 status = tasks.getTaskStatus(sessionId, taskId);
            if (status >= uint256(least) && status <= uint256(most)) return (sessionId, taskId, true);
        }
    }

    /// @dev The number of one of the task's miners.
    function minerIn(uint256 sessionId, uint256 taskId, uint256 which) private view returns (uint256 i) {
        address[] memory assigned = tasks.getTask(sessionId, taskId).assignedMiners;
        address chosen = assigned[which % assigned.length];
        while (miner(i) != chosen) ++i;
    }
}

/// @dev Every wei is in exactly one place, whatever the actors do.
contract SolvencyTest {
    Actors private actors;

    function setUp() public {
        actors = new Actors();
    }

    /// @dev Forge's name for the contracts whose functions it may call.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actors);
    }

    function invariant_every_wei_is_in_exactly_one_place() public view {
        actors.checkSolvency();
    }
}
