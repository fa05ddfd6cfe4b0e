// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {TaskFlow} from "../src/task/TaskFlow.sol";
import {TaskStatus, Verdict} from "../src/task/TaskTypes.sol";
import {Network} from "./Network.sol";
import {Log} from "./Vm.sol";

/// @dev What verdicts judge, and what they pay.
contract TaskVerdictsTest is Network {
    function setUp() public {
        deployNetwork();
    }

    function test_the_first_verdict_counts() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(2);
        precommit(sessionId, taskId, 0);
        precommit(sessionId, taskId, 1);
        commit(sessionId, taskId, 0);
        Verdict memory item = verdictOf(sessionId, taskId, miners(2), 0);
        refuse(item, abi.encodePacked(TaskFlow.PhaseOpen.selector));
        commit(sessionId, taskId, 1);
        judge(sessionId, taskId, 2, 0);
        refuse(item, abi.encodePacked(TaskFlow.AlreadyDone.selector));
        assertEq(payment.owedTo(miner(0)), 0, "a worthless answer is not paid");
        assertEq(pool.reputationOf(miner(0)), -3, "and costs reputation");
    }

    function test_a_verdict_judges_all_who_have_revealed_each_once() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(2);
        precommit(sessionId, taskId, 0);
        precommit(sessionId, taskId, 1);
        commit(sessionId, taskId, 0);
        commit(sessionId, taskId, 1);
        Verdict memory item = verdictOf(sessionId, taskId, miners(1), 10_000);
        refuse(item, abi.encodeWithSelector(TaskFlow.NotAllJudged.selector, 1, 2));
        item = verdictOf(sessionId, taskId, miners(2), 10_000);
        item.miners[1] = miner(0);
        refuse(item, abi.encodeWithSelector(TaskFlow.DuplicateMiner.selector, miner(0)));
        item.miners[1] = miner(4);
        refuse(item, abi.encodeWithSelector(TaskFlow.NotAllJudged.selector, 1, 2));
        item = verdictOf(sessionId, taskId, miners(2), 10_000);
        item.outputTokens = new uint256[](1);
        refuse(item, abi.encodeWithSelector(TaskFlow.ListsDiffer.selector, 2, 2, 1));
    }

    function test_a_verdict_passes_over_who_has_not_revealed() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(3);
        for (uint256 i; i < 3; ++i) {
            precommit(sessionId, taskId, i);
        }
        commit(sessionId, taskId, 1);
        commit(sessionId, taskId, 2);
        vm.warp(block.timestamp + STAGE_WINDOW + 1);
        tasks.endCommit(sessionId, taskId, true);
        address[] memory named = miners(5); // one was silent, two never had a place
        Verdict memory item = verdictOf(sessionId, taskId, named, 10_000);
        item.accuraciesBps[2] = 0;
        vm.recordLogs();
        vm.prank(validator);
        queue.verdict(item);
        assertStatus(sessionId, taskId, TaskStatus.Ended);
        assertEq(payment.owedTo(miner(0)), 0, "the silent one is not paid");
        assertEq(payment.owedTo(miner(1)), worstCase(1, MAX_INPUT_TOKENS), "the others are judged as they are");
        assertEq(payment.owedTo(miner(2)), 0, "wrong");
        assertEq(payment.owedTo(miner(3)) + payment.owedTo(miner(4)), 0, "strangers");
        assertEq(pool.reputationOf(miner(0)), -3, "its silence costs once");
        assertEq(pool.reputationOf(miner(1)), 1, "good");
        assertEq(pool.reputationOf(miner(2)), -3, "bad");
        assertEq(pool.reputationOf(miner(3)), 0, "nothing of theirs");
        assertEq(judgedIn(vm.getRecordedLogs()), 2, "the event tells of those who have revealed");
        assertSolvent();
    }

    function test_a_verdict_that_came_for_more_than_were_in_time_is_not_sunk_by_any_of_them(uint256 chosen) public {
        (uint256 sessionId, uint256 taskId) = assignedTask(3);
        uint256 revealed;
        for (uint256 i; i < 3; ++i) {
            precommit(sessionId, taskId, i);
        }
        for (uint256 i; i < 3; ++i) {
            if ((chosen >> i) & 1 == 0) continue;
            commit(sessionId, taskId, i);
            ++revealed;
        }
        if (revealed == 0) return;
        if (revealed != 3) {
            vm.warp(block.timestamp + STAGE_WINDOW + 1);
            tasks.endCommit(sessionId, taskId, true);
        }
        judge(sessionId, taskId, 3, 10_000);
        for (uint256 i; i < 3; ++i) {
            uint256 pay = (chosen >> i) & 1 == 0 ? 0 : worstCase(1, MAX_INPUT_TOKENS);
            assertEq(payment.owedTo(miner(i)), pay, "who revealed is paid, and nobody else");
        }
        assertSolvent();
    }

    function test_a_verdict_cannot_charge_more_than_was_reserved() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        precommit(sessionId, taskId, 0);
        commit(sessionId, taskId, 0);
        Verdict memory item = verdictOf(sessionId, taskId, miners(1), 10_001);
        vm.startPrank(validator);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.VerdictTooLarge.selector, 10_001, 10_000));
        queue.verdict(item);
        item.accuraciesBps[0] = 1;
        item.inputTokens = MAX_INPUT_TOKENS + 1;
        vm.expectRevert(
            abi.encodeWithSelector(TaskFlow.VerdictTooLarge.selector, item.inputTokens, MAX_INPUT_TOKENS)
        );
        queue.verdict(item);
        item.inputTokens = 0;
        item.outputTokens[0] = MAX_TOKENS + 1;
        vm.expectRevert(
            abi.encodeWithSelector(TaskFlow.VerdictTooLarge.selector, MAX_TOKENS + 1, MAX_TOKENS)
        );
        queue.verdict(item);
        vm.stopPrank();
    }

    function testFuzz_pay_follows_accuracy_and_time_and_never_exceeds_the_reservation(
        uint256 delay,
        uint256 accuracyBps,
        uint256 inputTokens,
        uint256 outputTokens
    ) public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        delay = bound(delay, 0, TIMEOUT + GRACE);
        Verdict memory item = verdictOf(sessionId, taskId, miners(1), bound(accuracyBps, 0, 10_000));
        item.inputTokens = bound(inputTokens, 0, MAX_INPUT_TOKENS);
        item.outputTokens[0] = bound(outputTokens, 0, MAX_TOKENS);
        vm.warp(START + delay);
        precommit(sessionId, taskId, 0);
        commit(sessionId, taskId, 0);
        vm.prank(validator);
        queue.verdict(item);

        uint256 price = item.inputTokens * INPUT_PRICE + item.outputTokens[0] * OUTPUT_PRICE;
        uint256 quarter = TIMEOUT / 4;
        if (delay > TIMEOUT) delay = TIMEOUT;
        uint256 loss = delay <= quarter ? 0 : ceilDiv(2_000 * (delay - quarter), TIMEOUT - quarter);
        uint256 owed = payment.owedTo(miner(0));
        assertEq(owed, price * item.accuraciesBps[0] * (10_000 - loss) / 1e8, "pay");
        assertTrue(owed <= worstCase(1, MAX_INPUT_TOKENS), "within the reservation");
        assertEq(payment.sessionBalance(sessionId), 1e9 - owed, "the rest is back");
        assertSolvent();
    }

    // ---------------------------------------------------------------- words of this test

    function ceilDiv(uint256 a, uint256 b) private pure returns (uint256) {
        return (a + b - 1) / b;
    }

    /// @dev How many miners the TaskVerdict among the logs names.
    function judgedIn(Log[] memory logs) private pure returns (uint256) {
        for (uint256 i; i < logs.length; ++i) {
            if (logs[i].topics[0] != TaskFlow.TaskVerdict.selector) continue;
            (,,,, uint256[] memory marks) =
                abi.decode(logs[i].data, (uint256, uint256, address, uint256, uint256[]));
            return marks.length;
        }
        return 0;
    }
}
