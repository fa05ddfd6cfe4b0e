// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {TaskFlow} from "../src/task/TaskFlow.sol";
import {SignedPrecommit, Submission, TaskRef, TaskStatus, Verdict} from "../src/task/TaskTypes.sol";
import {Network} from "./Network.sol";

/// @dev Who is away for minutes (a router's sender, a validator, the chain) costs nobody an answer or a stake; and
///      nobody gains who delays on purpose.
contract OutagesTest is Network {
    uint256 private constant STAKE = 1_000;
    uint256 private constant DEADLINE = START + TIMEOUT;
    uint256 private constant LONGEST_TIMEOUT = 3600;

    function setUp() public {
        deployNetwork();
    }

    // ---------------------------------------------------------------- precommits

    function test_a_relayed_precommit_that_was_kept_back_still_counts() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(2);
        SignedPrecommit[] memory items = new SignedPrecommit[](2);
        for (uint256 i; i < 2; ++i) {
            items[i] = signedPrecommit(sessionId, taskId, i, hashOf(sessionId, taskId, i));
        }
        vm.warp(DEADLINE + GRACE);
        vm.prank(relayer);
        queue.relayPrecommits(items);
        assertStatus(sessionId, taskId, TaskStatus.Precommitted);
        uint256 time = tasks.getTaskResultPrecommitTimestamp(sessionId, taskId, miner(1));
        assertEq(time, DEADLINE + GRACE, "its time is told as it was");
        commit(sessionId, taskId, 0);
        commit(sessionId, taskId, 1);
        judge(sessionId, taskId, 2, 10_000);
        uint256 pay = worstCase(1, MAX_INPUT_TOKENS) * 8_000 / 10_000;
        assertEq(payment.owedTo(miner(1)), pay, "paid as at the deadline");
        assertSolvent();
    }

    function test_a_miners_own_late_transaction_keeps_the_same_rule() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        vm.warp(DEADLINE + GRACE);
        precommit(sessionId, taskId, 0);
        assertStatus(sessionId, taskId, TaskStatus.Precommitted);
    }

    function test_in_the_grace_only_an_oracle_ends_the_precommits() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(2);
        precommit(sessionId, taskId, 0);
        bytes32 late = hashOf(sessionId, taskId, 1);
        vm.warp(DEADLINE + GRACE);
        bytes memory early =
            abi.encodeWithSelector(TaskFlow.TooEarly.selector, DEADLINE + GRACE, DEADLINE + GRACE);
        vm.expectRevert(early);
        vm.prank(client);
        tasks.endPrecommit(sessionId, taskId, true);
        vm.expectRevert(early);
        vm.prank(router);
        tasks.endPrecommit(sessionId, taskId, true);
        vm.prank(oracle);
        tasks.endPrecommit(sessionId, taskId, true);
        vm.expectRevert(TaskFlow.PhaseOver.selector);
        vm.prank(miner(1));
        queue.precommit(sessionId, taskId, late, "");
        commit(sessionId, taskId, 0);
        assertStatus(sessionId, taskId, TaskStatus.Committed);
    }

    function test_a_batch_of_others_skips_what_only_an_oracle_may_end_yet() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        TaskRef[] memory items = new TaskRef[](1);
        items[0] = TaskRef(sessionId, taskId);
        vm.warp(DEADLINE + 1);
        vm.startPrank(relayer);
        tasks.endPrecommits(items);
        tasks.endTasks(items);
        vm.stopPrank();
        assertStatus(sessionId, taskId, TaskStatus.Assigned);
        vm.prank(oracle);
        tasks.endTasks(items);
        assertStatus(sessionId, taskId, TaskStatus.Ended);
    }

    function test_without_any_oracle_the_grace_ends_too() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        bytes32 hash = hashOf(sessionId, taskId, 0);
        uint256 end = DEADLINE + GRACE;
        vm.warp(end + 1);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.TooLate.selector, end + 1, end));
        vm.prank(miner(0));
        queue.precommit(sessionId, taskId, hash, "");
        vm.prank(client);
        tasks.end(sessionId, taskId, true);
        assertEq(payment.sessionBalance(sessionId), 1e9, "a refund, and no later");
    }

    function test_nobody_is_put_into_a_place_in_the_grace_nor_comes_back_to_one() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        vm.warp(START + 11);
        vm.prank(oracle);
        tasks.replaceMiner(sessionId, taskId, miner(0), miner(1));
        bytes32 hash = hashOf(sessionId, taskId, 0);
        vm.warp(DEADLINE + 1);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.NotAssigned.selector, miner(0)));
        vm.prank(miner(0));
        queue.precommit(sessionId, taskId, hash, "");
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.TooLate.selector, DEADLINE + 1, DEADLINE));
        vm.prank(oracle);
        tasks.replaceMiner(sessionId, taskId, miner(1), miner(2));
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.TooLate.selector, DEADLINE + 1, DEADLINE));
        tasks.replaceMinerByDraw(sessionId, taskId, miner(1));
        precommit(sessionId, taskId, 1);
        assertStatus(sessionId, taskId, TaskStatus.Precommitted);
    }

    // ---------------------------------------------------------------- the queue

    function test_an_assignment_that_was_kept_back_still_counts() public {
        uint256 sessionId = fundedSession(1);
        relaySubmission(submission(sessionId, LANE));
        vm.warp(DEADLINE + GRACE);
        bytes memory early =
            abi.encodeWithSelector(TaskFlow.TooEarly.selector, DEADLINE + GRACE, DEADLINE + GRACE);
        vm.expectRevert(early);
        vm.prank(client);
        tasks.end(sessionId, LANE, true);
        assign(sessionId, LANE, miners(1));
        (, uint256 precommitDeadline,,) = tasks.getTaskDeadlines(sessionId, LANE);
        assertEq(precommitDeadline, DEADLINE + GRACE + TIMEOUT, "its miners have all of their time");
        precommit(sessionId, LANE, 0);
        commit(sessionId, LANE, 0);
        judge(sessionId, LANE, 1, 10_000);
        assertEq(payment.owedTo(miner(0)), worstCase(1, MAX_INPUT_TOKENS), "paid in full");
    }

    function test_after_the_grace_nobody_is_assigned_and_anyone_ends_the_task() public {
        uint256 sessionId = fundedSession(1);
        relaySubmission(submission(sessionId, LANE));
        uint256 end = DEADLINE + GRACE;
        vm.warp(end + 1);
        address[] memory chosen = miners(1);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.TooLate.selector, end + 1, end));
        vm.prank(router);
        queue.assignTask(sessionId, LANE, chosen, MODEL);
        vm.prank(client);
        tasks.end(sessionId, LANE, true);
        assertEq(payment.sessionBalance(sessionId), 1e9, "all is back");
    }

    function test_an_oracle_ends_what_nobody_took_at_its_deadline() public {
        uint256 sessionId = fundedSession(1);
        relaySubmission(submission(sessionId, LANE));
        vm.warp(DEADLINE + 1);
        vm.prank(oracle);
        tasks.end(sessionId, LANE, true);
        assertEq(payment.sessionBalance(sessionId), 1e9, "all is back");
    }

    // ---------------------------------------------------------------- reveals and verdicts

    function test_a_reveal_almost_an_hour_late_costs_nobody_stake() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        stake(0);
        precommit(sessionId, taskId, 0);
        vm.warp(START + STAGE_WINDOW);
        bytes memory early = abi.encodeWithSelector(TaskFlow.TooEarly.selector, START + STAGE_WINDOW, START + STAGE_WINDOW);
        vm.startPrank(oracle);
        vm.expectRevert(early);
        tasks.endCommit(sessionId, taskId, true);
        vm.expectRevert(early);
        tasks.end(sessionId, taskId, true);
        vm.stopPrank();
        commit(sessionId, taskId, 0);
        judge(sessionId, taskId, 1, 10_000);
        assertEq(payment.owedTo(miner(0)), worstCase(1, MAX_INPUT_TOKENS), "paid");
        (uint256 staked,,) = pool.stakeOf(miner(0));
        assertEq(staked, STAKE, "all of it");
    }

    function test_who_never_reveals_loses_stake_after_the_window() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        stake(0);
        precommit(sessionId, taskId, 0);
        vm.warp(START + STAGE_WINDOW + 1);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.TooLate.selector, START + STAGE_WINDOW + 1, START + STAGE_WINDOW));
        vm.prank(miner(0));
        queue.commit(sessionId, taskId, result(0));
        vm.prank(client);
        tasks.endCommit(sessionId, taskId, true);
        (uint256 staked,,) = pool.stakeOf(miner(0));
        assertEq(staked, STAKE * 9 / 10, "a tenth is gone");
    }

    function test_a_verdict_almost_an_hour_late_pays_and_nothing_is_refunded_before() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        precommit(sessionId, taskId, 0);
        commit(sessionId, taskId, 0);
        vm.warp(START + STAGE_WINDOW);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.TooEarly.selector, START + STAGE_WINDOW, START + STAGE_WINDOW));
        vm.prank(client);
        tasks.end(sessionId, taskId, true);
        judge(sessionId, taskId, 1, 10_000);
        assertEq(payment.owedTo(miner(0)), worstCase(1, MAX_INPUT_TOKENS), "paid");
    }

    function test_the_times_of_late_reveals_are_exact_on_the_board_and_beside_it() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(5);
        for (uint256 i; i < 5; ++i) {
            precommit(sessionId, taskId, i);
        }
        // The last that a place has room for by itself, the next ones, and the last of all.
        uint256[5] memory delays = [uint256(0), 62, 63, 64, STAGE_WINDOW];
        for (uint256 i; i < 5; ++i) {
            vm.warp(START + delays[i]);
            commit(sessionId, taskId, i);
        }
        for (uint256 i; i < 5; ++i) {
            uint256 time = tasks.getTaskResultCommitTimestamp(sessionId, taskId, miner(i));
            assertEq(time, START + delays[i], "commit");
        }
        assertEq(tasks.getTask(sessionId, taskId).lastCommitAt, START + STAGE_WINDOW, "the last");
        judge(sessionId, taskId, 5, 10_000);
        assertEq(payment.owedTo(miner(4)), worstCase(1, MAX_INPUT_TOKENS), "lateness of a reveal costs no pay");
        assertSolvent();
    }

    // ---------------------------------------------------------------- any outage

    /// @dev Each stage waits as long as it can: times stay exact, everyone is paid, at least as at the deadline.
    function testFuzz_whatever_is_late_within_its_time_is_paid(
        uint256 timeout,
        uint256 queued,
        uint256 worked,
        uint256 revealing,
        uint256 judging
    ) public {
        timeout = bound(timeout, 5, LONGEST_TIMEOUT);
        (uint256 sessionId, uint256 taskId) = (fundedSession(1), LANE);
        Submission memory item = submission(sessionId, taskId);
        item.requestParams[0] = timeout;
        relaySubmission(item);
        uint256 clock = START + bound(queued, 0, timeout + GRACE);
        vm.warp(clock);
        assign(sessionId, taskId, miners(1));
        clock += bound(worked, 0, timeout + GRACE);
        vm.warp(clock);
        precommit(sessionId, taskId, 0);
        assertEq(tasks.getTaskResultPrecommitTimestamp(sessionId, taskId, miner(0)), clock, "precommit");
        clock += bound(revealing, 0, STAGE_WINDOW);
        vm.warp(clock);
        commit(sessionId, taskId, 0);
        assertEq(tasks.getTaskResultCommitTimestamp(sessionId, taskId, miner(0)), clock, "commit");
        vm.warp(clock + bound(judging, 0, STAGE_WINDOW));
        Verdict memory v = verdictOf(sessionId, taskId, miners(1), 10_000);
        vm.prank(validator);
        queue.verdict(v);
        uint256 pay = worstCase(1, MAX_INPUT_TOKENS);
        assertTrue(payment.owedTo(miner(0)) >= pay * 8_000 / 10_000, "at least as at the deadline");
        assertTrue(payment.owedTo(miner(0)) <= pay, "no more than its work");
        assertSolvent();
    }

    // ---------------------------------------------------------------- words of this test

    function stake(uint256 i) private {
        vm.prank(treasury);
        token.transfer(miner(i), STAKE);
        vm.startPrank(miner(i));
        token.approve(address(pool), STAKE);
        pool.stake(miner(i), STAKE);
        vm.stopPrank();
    }
}
