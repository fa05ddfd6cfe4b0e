// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {NodeState} from "../src/NodePool.sol";
import {SessionPayment} from "../src/SessionPayment.sol";
import {TaskFlow} from "../src/TaskFlow.sol";
import {TaskLedger} from "../src/TaskLedger.sol";
import {Submission, TaskRef, TaskStatus, TaskView, Verdict} from "../src/TaskTypes.sol";
import {Network} from "./Network.sol";
import {Log} from "./Vm.sol";

/// @dev A task's life by direct transactions: what each stage does, and what it refuses.
contract TaskLifeTest is Network {
    function setUp() public {
        deployNetwork();
    }

    function test_a_direct_task_runs_from_submit_to_payment() public {
        uint256 sessionId = fundedSession(2);
        vm.prank(client);
        session.submit(sessionId, 0, "What is 6 times 7?", 1, "", llmParams(), requestParams(), "r");
        uint256 inputTokens = bytes("What is 6 times 7?").length + 64;
        assertEq(tasks.reservedOf(sessionId, 0), worstCase(2, inputTokens), "reserved");
        assertEq(tasks.getTaskData(sessionId, 0), "What is 6 times 7?", "data");
        assertStatus(sessionId, 0, TaskStatus.Queued);

        assign(sessionId, 0, miners(2));
        assertStatus(sessionId, 0, TaskStatus.Assigned);
        vm.prank(miner(0));
        queue.ack(sessionId, 0);
        assertStatus(sessionId, 0, TaskStatus.Acked);
        precommit(sessionId, 0, 0);
        precommit(sessionId, 0, 1);
        assertStatus(sessionId, 0, TaskStatus.Precommitted);
        commit(sessionId, 0, 0);
        commit(sessionId, 0, 1);
        assertStatus(sessionId, 0, TaskStatus.Committed);
        (address[] memory who, string[] memory results) = session.getTaskResults(sessionId, 0);
        assertEq(who[1], miner(1), "second miner");
        assertEq(results[1], result(1), "second result");

        Verdict memory item = verdictOf(sessionId, 0, miners(2), 10_000);
        item.accuraciesBps[1] = 5_000;
        vm.prank(validator);
        queue.verdict(item);
        assertStatus(sessionId, 0, TaskStatus.Ended);
        uint256 full = MAX_INPUT_TOKENS * INPUT_PRICE + MAX_TOKENS * OUTPUT_PRICE;
        assertEq(payment.owedTo(miner(0)), full, "full pay");
        assertEq(payment.owedTo(miner(1)), full / 2, "half pay");
        assertEq(payment.sessionBalance(sessionId), 1e9 - full - full / 2, "the rest is back");
        assertEq(tasks.reservedOf(sessionId, 0), 0, "nothing is reserved");
        assertEq(pool.reputationOf(miner(0)), 1, "reputation");
        assertSolvent();
    }

    function test_nodes_pull_their_pay_and_anyone_may_bear_the_gas() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(2);
        finish(sessionId, taskId, 2);
        uint256 full = worstCase(1, MAX_INPUT_TOKENS);
        vm.prank(miner(0));
        payment.withdrawNodePayment();
        vm.prank(relayer);
        payment.withdrawNodePaymentFor(miner(1));
        assertEq(token.balanceOf(miner(0)), full, "own withdrawal");
        assertEq(token.balanceOf(miner(1)), full, "withdrawal by another");
        vm.expectRevert(abi.encodeWithSelector(SessionPayment.NothingOwed.selector, miner(1)));
        payment.withdrawNodePaymentFor(miner(1));
        assertSolvent();
    }

    function test_views_of_a_task_say_what_was_submitted() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(2);
        TaskView memory seen = tasks.getTask(sessionId, taskId);
        assertEq(seen.data, ADDRESS_OF_PROMPT, "content address");
        assertEq(seen.assignedMiners.length, 2, "miners");
        assertEq(seen.createdAt, START, "createdAt");
        assertEq(tasks.getTaskDecorationTemperature(sessionId, taskId), 70, "temperature");
        assertEq(tasks.getTaskDecorationFrequencyPenalty(sessionId, taskId), 20, "frequency penalty");
        assertEq(tasks.getTaskDecoration(sessionId, taskId).maxTokens, MAX_TOKENS, "max tokens");
        assertEq(
            tasks.taskDigestOf(sessionId, taskId), session.digestOf(submission(sessionId, taskId)), "digest"
        );
        assertEq(tasks.getTasksBySessionId(sessionId).length, 1, "tasks of the session");
        assertEq(tasks.getLatestTask(sessionId), ADDRESS_OF_PROMPT, "latest task");
    }

    function test_times_are_those_of_the_blocks() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        vm.warp(START + 3);
        vm.prank(miner(0));
        queue.ack(sessionId, taskId);
        vm.warp(START + 8);
        precommit(sessionId, taskId, 0);
        vm.warp(START + 20);
        commit(sessionId, taskId, 0);
        (, uint256[] memory acked) = tasks.getAllTaskResultAckedTimestamps(sessionId, taskId);
        assertEq(acked[0], START + 3, "acked");
        assertEq(tasks.getTaskResultPrecommitTimestamp(sessionId, taskId, miner(0)), START + 8, "precommit");
        assertEq(tasks.getTaskResultCommitTimestamp(sessionId, taskId, miner(0)), START + 20, "commit");
        (uint256 inQueue, uint256 precommitEnd, uint256 commitEnd, uint256 verdictEnd) =
            tasks.getTaskDeadlines(sessionId, taskId);
        assertEq(inQueue, START + TIMEOUT, "queue deadline");
        assertEq(precommitEnd, START + TIMEOUT, "precommit deadline");
        assertEq(commitEnd, START + 8 + 60, "commit deadline");
        assertEq(verdictEnd, START + 20 + 60, "verdict deadline");
    }

    function test_a_content_address_comes_back_letter_for_letter_with_its_hash() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        bytes32 hash = tasks.commitHash(sessionId, taskId, miner(0), ADDRESS_OF_PROMPT);
        vm.startPrank(miner(0));
        queue.precommit(sessionId, taskId, hash, "");
        queue.commit(sessionId, taskId, ADDRESS_OF_PROMPT);
        vm.stopPrank();
        assertEq(tasks.getTaskResultData(sessionId, taskId, miner(0)), ADDRESS_OF_PROMPT, "result");
        assertEq(tasks.getTaskResultDataHash(sessionId, taskId, miner(0)), hash, "hash");
    }

    // ---------------------------------------------------------------- commit–reveal

    function test_a_copied_hash_cannot_be_revealed() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(2);
        bytes32 hash = hashOf(sessionId, taskId, 0);
        vm.prank(miner(1));
        queue.precommit(sessionId, taskId, hash, "");
        precommit(sessionId, taskId, 0);
        commit(sessionId, taskId, 0);
        bytes32 own = tasks.commitHash(sessionId, taskId, miner(1), result(0));
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.HashMismatch.selector, own, hash));
        vm.prank(miner(1));
        queue.commit(sessionId, taskId, result(0));
    }

    function test_no_reveal_before_the_precommit_phase_is_over() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(2);
        precommit(sessionId, taskId, 0);
        vm.expectRevert(TaskFlow.PhaseOpen.selector);
        vm.prank(miner(0));
        queue.commit(sessionId, taskId, result(0));
    }

    function test_a_precommitted_hash_is_fixed() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(2);
        precommit(sessionId, taskId, 0);
        bytes32 other = hashOf(sessionId, taskId, 1);
        bytes32 first = hashOf(sessionId, taskId, 0);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.HashFixed.selector, other, first));
        vm.prank(miner(0));
        queue.precommit(sessionId, taskId, other, "");
    }

    function test_nobody_precommits_or_commits_for_a_task_that_is_not_theirs() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.NotAssigned.selector, miner(3)));
        vm.prank(miner(3));
        queue.precommit(sessionId, taskId, bytes32(uint256(1)), "");
        vm.expectRevert(abi.encodeWithSelector(TaskLedger.TaskNotFound.selector, sessionId, 99));
        queue.ack(sessionId, 99);
    }

    function test_nothing_is_accepted_after_its_deadline() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(2);
        bytes32 hash = hashOf(sessionId, taskId, 1);
        precommit(sessionId, taskId, 0);
        vm.warp(START + TIMEOUT + 1);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.TooLate.selector, block.timestamp, START + TIMEOUT));
        vm.prank(miner(1));
        queue.precommit(sessionId, taskId, hash, "");
        tasks.endPrecommit(sessionId, taskId, false);
        uint256 end = block.timestamp + 60;
        vm.warp(end + 1);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.TooLate.selector, end + 1, end));
        vm.prank(miner(0));
        queue.commit(sessionId, taskId, result(0));
    }

    // ---------------------------------------------------------------- assignment

    function test_assignment_checks_miners_model_and_caller() public {
        uint256 sessionId = fundedSession(2);
        relaySubmission(submission(sessionId, LANE));
        vm.expectRevert(
            abi.encodeWithSelector(bytes4(keccak256("MissingRole(address,bytes32)")), client, roles.ROUTER_ROLE())
        );
        vm.prank(client);
        queue.assignTask(sessionId, LANE, miners(1), MODEL);

        vm.startPrank(oracle);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.WrongNumberOfMiners.selector, 3, 2));
        queue.assignTask(sessionId, LANE, miners(3), MODEL);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.WrongModel.selector, 2, MODEL));
        queue.assignTask(sessionId, LANE, miners(2), 2);
        address[] memory twice = miners(2);
        twice[1] = twice[0];
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.DuplicateMiner.selector, miner(0)));
        queue.assignTask(sessionId, LANE, twice, MODEL);
        pool.setNodeState(miner(1), NodeState.Registered);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.NotEligible.selector, miner(1)));
        queue.assignTask(sessionId, LANE, miners(2), MODEL);
        vm.stopPrank();
    }

    function test_a_miner_that_does_not_ack_is_replaced_and_never_returns() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(2);
        vm.prank(miner(1));
        queue.ack(sessionId, taskId);
        vm.warp(START + 10);
        vm.startPrank(oracle);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.TooEarly.selector, START + 10, START + 10));
        tasks.replaceMiner(sessionId, taskId, miner(0), miner(2));
        vm.warp(START + 11);
        tasks.replaceMiner(sessionId, taskId, miner(0), miner(2));
        assertEq(tasks.getTask(sessionId, taskId).assignedMiners[0], miner(2), "the place is taken");
        assertEq(pool.reputationOf(miner(0)), -3, "lateness costs");
        // Who has acked has until the end of its lease.
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.TooEarly.selector, START + 11, START + TIMEOUT / 2));
        tasks.replaceMiner(sessionId, taskId, miner(1), miner(3));
        vm.warp(START + TIMEOUT / 2 + 1);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.DuplicateMiner.selector, miner(0)));
        tasks.replaceMiner(sessionId, taskId, miner(1), miner(0));
        tasks.replaceMiner(sessionId, taskId, miner(1), miner(3));
        vm.stopPrank();

        vm.expectRevert(abi.encodeWithSelector(TaskFlow.NotAssigned.selector, miner(0)));
        vm.prank(miner(0));
        queue.ack(sessionId, taskId);
        precommit(sessionId, taskId, 2);
        precommit(sessionId, taskId, 3);
        assertStatus(sessionId, taskId, TaskStatus.Precommitted);
    }

    function test_who_has_precommitted_cannot_be_replaced() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(2);
        precommit(sessionId, taskId, 0);
        vm.warp(START + TIMEOUT - 1);
        vm.expectRevert(TaskFlow.AlreadyDone.selector);
        vm.prank(oracle);
        tasks.replaceMiner(sessionId, taskId, miner(0), miner(2));
    }

    // ---------------------------------------------------------------- forced ends

    function test_a_task_nobody_took_is_refunded() public {
        uint256 sessionId = fundedSession(3);
        relaySubmission(submission(sessionId, LANE));
        vm.warp(START + TIMEOUT);
        vm.expectRevert(
            abi.encodeWithSelector(TaskFlow.TooEarly.selector, START + TIMEOUT, START + TIMEOUT)
        );
        tasks.end(sessionId, LANE, true);
        vm.warp(START + TIMEOUT + 1);
        tasks.end(sessionId, LANE, true);
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
        vm.expectRevert(
            abi.encodeWithSelector(TaskFlow.TooEarly.selector, START + TIMEOUT, START + TIMEOUT)
        );
        tasks.endPrecommit(sessionId, taskId, true);
        vm.warp(START + TIMEOUT + 1);
        vm.prank(relayer);
        tasks.endPrecommit(sessionId, taskId, true);
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
        vm.warp(block.timestamp + 61);
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
        vm.warp(block.timestamp + 61);
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

    // ---------------------------------------------------------------- verdicts and pay

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
        vm.warp(block.timestamp + 61);
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
            vm.warp(block.timestamp + 61);
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
        delay = bound(delay, 0, TIMEOUT);
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
        uint256 loss = delay <= quarter ? 0 : ceilDiv(2_000 * (delay - quarter), TIMEOUT - quarter);
        uint256 owed = payment.owedTo(miner(0));
        assertEq(owed, price * item.accuraciesBps[0] * (10_000 - loss) / 1e8, "pay");
        assertTrue(owed <= worstCase(1, MAX_INPUT_TOKENS), "within the reservation");
        assertEq(payment.sessionBalance(sessionId), 1e9 - owed, "the rest is back");
        assertSolvent();
    }

    // ---------------------------------------------------------------- words of this test

    function assertStatus(uint256 sessionId, uint256 taskId, TaskStatus status) private view {
        assertEq(tasks.getTaskStatus(sessionId, taskId), uint256(status), "status");
    }

    function finish(uint256 sessionId, uint256 taskId, uint256 redundancy) private {
        for (uint256 i; i < redundancy; ++i) {
            precommit(sessionId, taskId, i);
        }
        for (uint256 i; i < redundancy; ++i) {
            commit(sessionId, taskId, i);
        }
        judge(sessionId, taskId, redundancy, 10_000);
    }

    function refuse(Verdict memory item, bytes memory reason) private {
        vm.expectRevert(reason);
        vm.prank(validator);
        queue.verdict(item);
    }

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
