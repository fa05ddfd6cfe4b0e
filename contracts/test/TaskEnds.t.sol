// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {TaskFlow} from "../src/task/TaskFlow.sol";
import {Submission, TaskRef, TaskStatus, Verdict} from "../src/task/TaskTypes.sol";
import {Network} from "./Network.sol";

/// @dev How tasks end that somebody was late for, and those that are larger or more various than most.
contract TaskEndsTest is Network {
    function setUp() public {
        deployNetwork();
    }

    // ---------------------------------------------------------------- forced ends

    function test_a_task_nobody_took_is_refunded() public {
        uint256 sessionId = fundedSession(3);
        relaySubmission(submission(sessionId, LANE));
        vm.warp(START + TIMEOUT);
        vm.expectRevert(
            abi.encodeWithSelector(TaskFlow.TooEarly.selector, START + TIMEOUT, START + TIMEOUT)
        );
        vm.startPrank(oracle);
        tasks.end(sessionId, LANE, true);
        vm.warp(START + TIMEOUT + 1);
        tasks.end(sessionId, LANE, true);
        vm.stopPrank();
        assertEq(payment.sessionBalance(sessionId), 1e9, "all is back");
        vm.expectRevert(TaskFlow.AlreadyEnded.selector);
        tasks.end(sessionId, LANE, true);
        assertSolvent();
    }

    function test_a_missing_miner_drops_out_and_the_others_are_paid() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(3);
        precommit(sessionId, taskId, 0);
        precommit(sessionId, taskId, 2);
        vm.warp(START + TIMEOUT);
        vm.startPrank(oracle);
        vm.expectRevert(
            abi.encodeWithSelector(TaskFlow.TooEarly.selector, START + TIMEOUT, START + TIMEOUT)
        );
        tasks.endPrecommit(sessionId, taskId, true);
        vm.warp(START + TIMEOUT + 1);
        tasks.endPrecommit(sessionId, taskId, true);
        vm.stopPrank();
        assertEq(pool.reputationOf(miner(1)), -3, "absence costs");
        commit(sessionId, taskId, 0);
        commit(sessionId, taskId, 2);
        judge(sessionId, taskId, 3, 10_000);
        assertStatus(sessionId, taskId, TaskStatus.Ended);
        assertEq(payment.owedTo(miner(1)), 0, "no pay for nothing");
        assertEq(payment.owedTo(miner(2)), worstCase(1, MAX_INPUT_TOKENS), "pay");
        assertSolvent();
    }

    function test_nobody_in_time_ends_the_task_with_a_refund() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(2);
        vm.warp(START + TIMEOUT + 1);
        vm.prank(oracle);
        tasks.endPrecommit(sessionId, taskId, false);
        assertStatus(sessionId, taskId, TaskStatus.Ended);
        assertEq(payment.sessionBalance(sessionId), 1e9, "all is back");
        assertEq(pool.reputationOf(miner(0)), -3, "absence costs");
    }

    function test_who_does_not_reveal_is_out_and_costs_itself_reputation() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(2);
        precommit(sessionId, taskId, 0);
        precommit(sessionId, taskId, 1);
        commit(sessionId, taskId, 0);
        vm.warp(block.timestamp + STAGE_WINDOW + 1);
        assertTrue(tasks.endCommit(sessionId, taskId, true), "ended");
        assertEq(pool.reputationOf(miner(1)), -3, "silence costs");
        judge(sessionId, taskId, 1, 10_000);
        assertStatus(sessionId, taskId, TaskStatus.Ended);
        assertEq(payment.owedTo(miner(1)), 0, "no pay");
    }

    function test_without_verdicts_nobody_is_paid() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        precommit(sessionId, taskId, 0);
        commit(sessionId, taskId, 0);
        vm.expectPartialRevert(TaskFlow.TooEarly.selector);
        tasks.end(sessionId, taskId, true);
        vm.warp(block.timestamp + STAGE_WINDOW + 1);
        TaskRef[] memory items = new TaskRef[](1);
        items[0] = TaskRef(sessionId, taskId);
        tasks.endTasks(items);
        assertStatus(sessionId, taskId, TaskStatus.Ended);
        assertEq(payment.sessionBalance(sessionId), 1e9, "all is back");
        refuse(
            verdictOf(sessionId, taskId, miners(1), 10_000), abi.encodePacked(TaskFlow.AlreadyEnded.selector)
        );
    }

    function test_end_without_force_never_does_anything() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        vm.warp(START + 10_000);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.WrongStatus.selector, TaskStatus.Assigned));
        tasks.end(sessionId, taskId, false);
    }

    // ---------------------------------------------------------------- where the board has no room

    function test_the_times_of_more_miners_than_the_board_holds_are_their_own() public {
        uint256 sessionId = fundedSession(4);
        relaySubmission(submission(sessionId, LANE));
        assign(sessionId, LANE, miners(4));
        vm.warp(START + 2);
        vm.prank(miner(2));
        queue.ack(sessionId, LANE);
        vm.warp(START + 12);
        vm.prank(oracle);
        tasks.replaceMiner(sessionId, LANE, miner(3), miner(4));
        vm.warp(START + 14);
        vm.prank(miner(4));
        queue.ack(sessionId, LANE);
        (address[] memory placed, uint256[] memory acked) = tasks.getAllTaskResultAckedTimestamps(sessionId, LANE);
        assertEq(placed.length, 4, "places");
        assertEq(placed[3], miner(4), "the fourth is another");
        assertEq(acked[0], 0, "not acked");
        assertEq(acked[2], START + 2, "acked early");
        assertEq(acked[3], START + 14, "acked late");
        // It came at 12 s, so that it is late with its result half of the timeout later, when all is over.
        vm.warp(START + 37);
        vm.prank(oracle);
        vm.expectRevert(
            abi.encodeWithSelector(TaskFlow.TooEarly.selector, START + 37, START + 12 + TIMEOUT / 2)
        );
        tasks.replaceMiner(sessionId, LANE, miner(4), miner(3));
        for (uint256 i; i < 3; ++i) {
            precommit(sessionId, LANE, i);
        }
        bytes32 hash = tasks.commitHash(sessionId, LANE, miner(4), "x");
        vm.warp(START + 41);
        vm.prank(miner(4));
        queue.precommit(sessionId, LANE, hash, "");
        for (uint256 i; i < 3; ++i) {
            commit(sessionId, LANE, i);
        }
        vm.warp(START + 50);
        vm.prank(miner(4));
        queue.commit(sessionId, LANE, "x");
        assertEq(tasks.getTaskResultPrecommitTimestamp(sessionId, LANE, miner(4)), START + 41, "precommit");
        assertEq(tasks.getTaskResultCommitTimestamp(sessionId, LANE, miner(4)), START + 50, "commit");
        address[] memory named = miners(4);
        named[3] = miner(4);
        Verdict memory item = verdictOf(sessionId, LANE, named, 10_000);
        vm.prank(validator);
        queue.verdict(item);
        // 41 s are 29 after it came: 14 beyond a quarter of the timeout, of 33 that were left it then.
        assertEq(payment.owedTo(miner(4)), worstCase(1, MAX_INPUT_TOKENS) * 9151 / 10_000, "pay by its own clock");
        assertSolvent();
    }

    function test_a_session_has_as_many_kinds_of_tasks_as_it_likes() public {
        uint256 sessionId = fundedSession(1);
        uint256 count = 258; // three more than plans have numbers
        for (uint256 i; i < count; ++i) {
            Submission memory item = submission(sessionId, LANE + i);
            item.llmParams[0] = i + 1;
            relaySubmission(item);
            assertEq(tasks.taskDigestOf(sessionId, LANE + i), session.digestOf(item), "digest");
        }
        for (uint256 i; i < count; i += 51) {
            assertEq(tasks.getTaskDecorationMaxTokens(sessionId, LANE + i), i + 1, "its own terms");
            uint256 reserved = MAX_INPUT_TOKENS * INPUT_PRICE + (i + 1) * OUTPUT_PRICE;
            assertEq(tasks.reservedOf(sessionId, LANE + i), reserved, "its own money");
        }
        uint256 last = LANE + count - 1;
        assign(sessionId, last, miners(1));
        precommit(sessionId, last, 0);
        commit(sessionId, last, 0);
        judge(sessionId, last, 1, 10_000);
        assertEq(payment.owedTo(miner(0)), worstCase(1, MAX_INPUT_TOKENS), "judged by its own plan");
        assertSolvent();
    }
}
