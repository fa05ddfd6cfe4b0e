// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Parts} from "../src/task/Board.sol";
import {NodeState} from "../src/node/NodePool.sol";
import {SessionPayment} from "../src/money/SessionPayment.sol";
import {TaskFlow} from "../src/task/TaskFlow.sol";
import {TaskLedger} from "../src/task/TaskLedger.sol";
import {TaskStatus, TaskView, Verdict} from "../src/task/TaskTypes.sol";
import {Network} from "./Network.sol";

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
        (address[] memory who, string[] memory results) = sessions.getTaskResults(sessionId, 0);
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
        assertEq(commitEnd, START + 8 + STAGE_WINDOW, "commit deadline");
        assertEq(verdictEnd, START + 20 + STAGE_WINDOW, "verdict deadline");
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
        uint256 end = START + TIMEOUT + GRACE;
        vm.warp(end + 1);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.TooLate.selector, end + 1, end));
        vm.prank(miner(1));
        queue.precommit(sessionId, taskId, hash, "");
        tasks.endPrecommit(sessionId, taskId, false);
        end = block.timestamp + STAGE_WINDOW;
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

    function test_only_who_gets_a_place_uses_a_miners_number_up_and_the_last_is_the_last() public {
        uint256 slot = slotThatCountsMiners();
        uint256 before = uint256(vm.load(address(queue), bytes32(slot)));
        assignedTask(2);
        assertEq(uint256(vm.load(address(queue), bytes32(slot))), before, "known miners keep their numbers");

        vm.store(address(queue), bytes32(slot), bytes32(Parts.MAX_NUMBER));
        uint256 sessionId = fundedSession(3);
        relaySubmission(submission(sessionId, LANE));
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.TooManyMiners.selector, Parts.MAX_NUMBER));
        vm.prank(oracle);
        queue.assignTask(sessionId, LANE, miners(3), MODEL);
    }

    /// @dev The one that a first task of two miners has changed by two.
    function slotThatCountsMiners() private returns (uint256) {
        uint256[] memory before = new uint256[](64);
        for (uint256 slot; slot < before.length; ++slot) {
            before[slot] = uint256(vm.load(address(queue), bytes32(slot)));
        }
        assignedTask(2);
        for (uint256 slot; slot < before.length; ++slot) {
            if (uint256(vm.load(address(queue), bytes32(slot))) == before[slot] + 2) return slot;
        }
        revert Untrue("no slot counts miners");
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

    // ---------------------------------------------------------------- words of this test

    function finish(uint256 sessionId, uint256 taskId, uint256 redundancy) private {
        for (uint256 i; i < redundancy; ++i) {
            precommit(sessionId, taskId, i);
        }
        for (uint256 i; i < redundancy; ++i) {
            commit(sessionId, taskId, i);
        }
        judge(sessionId, taskId, redundancy, 10_000);
    }
}
