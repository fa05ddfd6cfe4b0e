// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {NodeState} from "../src/node/NodePool.sol";
import {TaskFlow} from "../src/task/TaskFlow.sol";
import {TaskLedger} from "../src/task/TaskLedger.sol";
import {Submission, TaskRef, TaskStatus, Verdict} from "../src/task/TaskTypes.sol";
import {Network} from "./Network.sol";

/// @dev Liveness without trust: late miners lose their places to a draw that nobody chooses.
contract OverdueTest is Network {
    /// @dev 5/8 of the timeout: the end of the oracle's time.
    uint256 private constant ORACLE_UNTIL = START + TIMEOUT / 2 + TIMEOUT / 8;
    /// @dev The first period after it, of 4 seconds.
    uint256 private constant DRAW_AT = (ORACLE_UNTIL / 4 + 1) * 4;

    function setUp() public {
        deployNetwork();
    }

    function test_the_oracles_choice_counts_only_in_its_time() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        vm.warp(ORACLE_UNTIL + 1);
        vm.prank(oracle);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.TooLate.selector, ORACLE_UNTIL + 1, ORACLE_UNTIL));
        tasks.replaceMiner(sessionId, taskId, miner(0), miner(1));
        vm.warp(ORACLE_UNTIL);
        vm.prank(oracle);
        tasks.replaceMiner(sessionId, taskId, miner(0), miner(1));
        assertEq(tasks.getTask(sessionId, taskId).assignedMiners[0], miner(1), "chosen");
    }

    function test_then_anyone_has_a_miner_drawn() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(2);
        precommit(sessionId, taskId, 1);
        vm.warp(DRAW_AT - 1);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.TooEarly.selector, DRAW_AT - 1, DRAW_AT));
        tasks.replaceMinerByDraw(sessionId, taskId, miner(0));
        vm.warp(DRAW_AT);
        vm.prank(relayer);
        tasks.replaceMinerByDraw(sessionId, taskId, miner(0));
        address drawn = tasks.getTask(sessionId, taskId).assignedMiners[0];
        assertTrue(drawn != miner(0) && drawn != miner(1), "a new one");
        assertTrue(pool.isEligible(drawn), "that may");
        assertEq(pool.reputationOf(miner(0)), -3, "lateness costs");
        assertTrue(tasks.drawSeeds(DRAW_AT / 4) != 0, "the period's seed is fixed");
        vm.expectRevert(TaskFlow.AlreadyDone.selector);
        tasks.replaceMinerByDraw(sessionId, taskId, miner(0));
        // Who has precommitted is not late.
        vm.expectRevert(TaskFlow.AlreadyDone.selector);
        tasks.replaceMinerByDraw(sessionId, taskId, miner(1));
    }

    function test_an_ack_does_not_keep_a_late_miner_in_its_place() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        vm.prank(miner(0));
        queue.ack(sessionId, taskId);
        vm.warp(DRAW_AT);
        tasks.replaceMinerByDraw(sessionId, taskId, miner(0));
        assertTrue(tasks.getTask(sessionId, taskId).assignedMiners[0] != miner(0), "replaced");
    }

    function test_the_draw_is_fixed_by_the_seed_of_its_period_whoever_asks_and_when() public {
        uint256 sessionId = fundedSession(1);
        relaySubmission(submission(sessionId, LANE));
        relaySubmission(submission(sessionId, LANE + 1));
        assign(sessionId, LANE, miners(1));
        assign(sessionId, LANE + 1, miners(1));
        vm.warp(DRAW_AT);
        tasks.replaceMinerByDraw(sessionId, LANE, miner(0));
        bytes32 seed = tasks.drawSeeds(DRAW_AT / 4);
        vm.prevrandao(bytes32(uint256(99)));
        vm.warp(DRAW_AT + 9);
        vm.prank(client);
        tasks.replaceMinerByDraw(sessionId, LANE + 1, miner(0));
        assertEq(tasks.drawSeeds(DRAW_AT / 4), seed, "the other task's draw changed nothing");
        seed = keccak256(abi.encode(seed, tasks.taskDigestOf(sessionId, LANE + 1), miner(0)));
        address expected;
        for (uint256 attempt; expected == address(0) || expected == miner(0); ++attempt) {
            expected = pool.drawn(seed, attempt);
        }
        assertEq(tasks.getTask(sessionId, LANE + 1).assignedMiners[0], expected, "as anyone can compute");
    }

    function test_without_anybody_who_may_the_place_stays() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(2);
        vm.startPrank(oracle);
        for (uint256 i = 2; i < 5; ++i) {
            pool.setNodeState(miner(i), NodeState.Registered);
        }
        vm.stopPrank();
        vm.warp(DRAW_AT);
        vm.expectPartialRevert(TaskFlow.NobodyDrawn.selector);
        tasks.replaceMinerByDraw(sessionId, taskId, miner(0));
    }

    function test_a_draw_names_what_it_cannot_do() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        vm.expectRevert(abi.encodeWithSelector(TaskLedger.TaskNotFound.selector, sessionId, 5));
        tasks.replaceMinerByDraw(sessionId, 5, miner(0));
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.NotAssigned.selector, miner(3)));
        tasks.replaceMinerByDraw(sessionId, taskId, miner(3));
        vm.warp(START + TIMEOUT + 1);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.TooLate.selector, START + TIMEOUT + 1, START + TIMEOUT));
        tasks.replaceMinerByDraw(sessionId, taskId, miner(0));
        vm.prank(oracle);
        tasks.endPrecommit(sessionId, taskId, true);
        vm.expectRevert(TaskFlow.PhaseOver.selector);
        tasks.replaceMinerByDraw(sessionId, taskId, miner(0));
    }

    function test_whatever_the_timeout_an_oracle_has_time_to_choose(uint256 timeout) public {
        timeout = bound(timeout, 5, 3600);
        (uint256 sessionId, uint256 taskId) = taskOf(timeout);
        uint256 quarter = timeout / 4;
        uint256 late = START + (quarter < 10 ? quarter : 10);
        uint256 eighth = timeout / 8;
        uint256 until = START + timeout / 2 + (eighth > 5 ? eighth : 5);
        if (until > START + timeout) until = START + timeout;
        assertTrue(until >= late + 4, "four blocks of a second");

        vm.startPrank(oracle);
        vm.warp(late);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.TooEarly.selector, late, late));
        tasks.replaceMiner(sessionId, taskId, miner(0), miner(1));
        vm.warp(until + 1);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.TooLate.selector, until + 1, until));
        tasks.replaceMiner(sessionId, taskId, miner(0), miner(1));
        vm.warp(until);
        tasks.replaceMiner(sessionId, taskId, miner(0), miner(1));
        vm.stopPrank();
        assertEq(tasks.getTask(sessionId, taskId).assignedMiners[0], miner(1), "chosen");
    }

    function test_a_task_of_twenty_seconds_is_saved_by_a_replacement() public {
        (uint256 sessionId, uint256 taskId) = taskOf(20);
        vm.warp(START + 6);
        vm.prank(oracle);
        tasks.replaceMiner(sessionId, taskId, miner(0), miner(1));
        vm.warp(START + 18);
        precommit(sessionId, taskId, 1);
        commit(sessionId, taskId, 1);
        Verdict memory item = verdictOf(sessionId, taskId, list(miner(1)), 10_000);
        vm.prank(validator);
        queue.verdict(item);
        assertTrue(payment.owedTo(miner(1)) != 0, "paid, not refunded");
    }

    function test_the_oracles_choice_must_be_able_to_take_the_place() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(2);
        vm.warp(START + 11);
        vm.startPrank(oracle);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.DuplicateMiner.selector, miner(1)));
        tasks.replaceMiner(sessionId, taskId, miner(0), miner(1));
        pool.setNodeState(miner(2), NodeState.Active);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.NotEligible.selector, miner(2)));
        tasks.replaceMiner(sessionId, taskId, miner(0), miner(2));
        vm.stopPrank();
    }

    function test_forcing_names_what_it_cannot_do() public {
        uint256 sessionId = fundedSession(1);
        bytes memory missing = abi.encodeWithSelector(TaskLedger.TaskNotFound.selector, sessionId, 5);
        vm.expectRevert(missing);
        tasks.endPrecommit(sessionId, 5, true);
        vm.expectRevert(missing);
        tasks.endCommit(sessionId, 5, true);
        vm.expectRevert(missing);
        tasks.end(sessionId, 5, true);
        relaySubmission(submission(sessionId, LANE));
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.WrongStatus.selector, TaskStatus.Queued));
        tasks.endPrecommit(sessionId, LANE, true);
        vm.expectRevert(TaskFlow.PhaseOpen.selector);
        tasks.endCommit(sessionId, LANE, true);
        assign(sessionId, LANE, miners(1));
        precommit(sessionId, LANE, 0);
        vm.expectRevert(TaskFlow.PhaseOver.selector);
        tasks.endPrecommit(sessionId, LANE, true);
        vm.expectPartialRevert(TaskFlow.TooEarly.selector);
        tasks.end(sessionId, LANE, true);
        commit(sessionId, LANE, 0);
        vm.expectRevert(TaskFlow.PhaseOver.selector);
        tasks.endCommit(sessionId, LANE, true);
    }

    function test_a_stage_with_results_is_forced_on_not_ended() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(2);
        precommit(sessionId, taskId, 0);
        vm.warp(START + TIMEOUT + 1);
        vm.expectRevert(TaskFlow.PhaseOpen.selector);
        tasks.end(sessionId, taskId, true);
        TaskRef[] memory refs = new TaskRef[](1);
        refs[0] = TaskRef(sessionId, taskId);
        vm.prank(oracle);
        tasks.endPrecommits(refs);
        precommitTooLate(sessionId, taskId);
        commit(sessionId, taskId, 0);
        assertEq(tasks.getTaskStatus(sessionId, taskId), uint256(TaskStatus.Committed), "all in it revealed");
    }

    function test_a_task_nobody_precommitted_ends_by_its_end() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        vm.warp(START + TIMEOUT + 1);
        vm.prank(oracle);
        tasks.end(sessionId, taskId, true);
        assertEq(tasks.reservedOf(sessionId, taskId), 0, "nothing is held");
        assertEq(payment.sessionBalance(sessionId), 1e9, "refunded");
    }

    /// @dev One miner's, with a timeout of its own.
    function taskOf(uint256 timeout) private returns (uint256 sessionId, uint256 taskId) {
        (sessionId, taskId) = (fundedSession(1), LANE);
        Submission memory item = submission(sessionId, taskId);
        item.requestParams[0] = timeout;
        relaySubmission(item);
        assign(sessionId, taskId, miners(1));
    }

    function precommitTooLate(uint256 sessionId, uint256 taskId) private {
        vm.expectRevert(TaskFlow.PhaseOver.selector);
        vm.prank(miner(1));
        queue.precommit(sessionId, taskId, bytes32(uint256(1)), "");
    }
}
