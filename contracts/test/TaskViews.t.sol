// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {TaskLedger} from "../src/task/TaskLedger.sol";
import {TaskStatus} from "../src/task/TaskTypes.sol";
import {Network} from "./Network.sol";

/// @dev What clients read about tasks, before, during and after a miner's work.
contract TaskViewsTest is Network {
    uint256 private sessionId;

    function setUp() public {
        deployNetwork();
        sessionId = fundedSession(2);
        vm.prank(client);
        session.submit(sessionId, 0, "What?", 2, "<s>{}</s>", llmParams(), requestParams(), "r");
    }

    function test_decorations_tell_how_the_client_wants_its_answer() public view {
        assertEq(tasks.getTaskDecorationPromptType(sessionId, 0), 2, "prompt type");
        assertEq(tasks.getTaskDecorationPromptTemplate(sessionId, 0), "<s>{}</s>", "template");
        assertEq(tasks.getTaskDecorationMaxTokens(sessionId, 0), MAX_TOKENS, "tokens");
        assertEq(tasks.getTaskDecorationTemperature(sessionId, 0), 70, "temperature");
        assertEq(tasks.getTaskDecorationTopP(sessionId, 0), 95, "top p");
        assertEq(tasks.getTaskDecorationTopK(sessionId, 0), 40, "top k");
        assertEq(tasks.getTaskDecorationPresencePenalty(sessionId, 0), 10, "presence penalty");
        assertEq(tasks.getTaskDecorationFrequencyPenalty(sessionId, 0), 20, "frequency penalty");
    }

    function test_a_queued_task_has_one_deadline_and_no_miners() public view {
        (uint256 inQueue, uint256 precommitEnd, uint256 commitEnd, uint256 verdictEnd) =
            tasks.getTaskDeadlines(sessionId, 0);
        assertEq(inQueue, START + TIMEOUT, "queue");
        assertEq(precommitEnd + commitEnd + verdictEnd, 0, "no other stage has begun");
        assertEq(tasks.getTask(sessionId, 0).assignedMiners.length, 0, "nobody");
        assertEq(tasks.getTaskResultState(sessionId, 0, miner(0)), 0, "no part");
        assertEq(tasks.getTaskResultData(sessionId, 0, miner(0)), "", "no result");
        assertEq(tasks.getTaskResultDataHash(sessionId, 0, miner(0)), 0, "no hash");
        assertEq(tasks.getTaskResultPrecommitTimestamp(sessionId, 0, miner(0)), 0, "no time");
        assertEq(tasks.getTaskResultCommitTimestamp(sessionId, 0, miner(0)), 0, "no time");
    }

    function test_the_data_waits_for_an_ack_where_a_client_wants_it_so() public {
        assertEq(tasks.getTaskDataWithAcked(sessionId, 0), "", "nobody has acked");
        assertTrue(!tasks.isAcked(sessionId, 0), "not acked");
        assign(sessionId, 0, miners(2));
        vm.prank(miner(1));
        queue.ack(sessionId, 0);
        assertEq(tasks.getTaskDataWithAcked(sessionId, 0), "What?", "acked");
        (, uint256[] memory acked) = tasks.getAllTaskResultAckedTimestamps(sessionId, 0);
        assertEq(acked[0], 0, "the first has not");
        assertEq(acked[1], START, "the second has");
    }

    function test_results_hashes_and_times_come_in_the_miners_order() public {
        assign(sessionId, 0, miners(2));
        vm.warp(START + 2);
        precommit(sessionId, 0, 1);
        (, bytes32[] memory hashes) = tasks.getTaskResultHashes(sessionId, 0);
        assertEq(hashes[0], 0, "the first has not precommitted");
        assertEq(hashes[1], hashOf(sessionId, 0, 1), "the second has");
        assertEq(tasks.getTaskResultState(sessionId, 0, miner(1)), uint256(TaskStatus.Precommitted), "its part");
        vm.warp(START + 3);
        precommit(sessionId, 0, 0);
        vm.warp(START + 5);
        commit(sessionId, 0, 1);
        (address[][] memory who, string[][] memory results, bytes32[][] memory all) =
            tasks.getAllTaskResults(sessionId);
        assertEq(who[0][1], miner(1), "miner");
        assertEq(results[0][0], "", "not revealed");
        assertEq(results[0][1], result(1), "revealed");
        assertEq(all[0][0], hashOf(sessionId, 0, 0), "precommitted hash");
        assertEq(all[0][1], hashOf(sessionId, 0, 1), "the same after the reveal");
        (, uint256[] memory precommitted) = tasks.getAllTaskResultPrecommitTimestamps(sessionId, 0);
        assertEq(precommitted[0], START + 3, "precommit");
        assertEq(precommitted[1], START + 2, "precommit");
        (, uint256[] memory committed) = tasks.getAllTaskResultCommitTimestamps(sessionId, 0);
        assertEq(committed[0], 0, "not yet");
        assertEq(committed[1], START + 5, "commit");
        assertEq(tasks.getTask(sessionId, 0).lastPrecommitAt, START + 3, "last precommit");
        assertEq(tasks.getTask(sessionId, 0).lastCommitAt, START + 5, "last commit");

        commit(sessionId, 0, 0);
        assertEq(tasks.getTaskResultState(sessionId, 0, miner(0)), uint256(TaskStatus.Committed), "not judged yet");
        judge(sessionId, 0, 2, 10_000);
        assertEq(tasks.getTaskResultState(sessionId, 0, miner(0)), uint256(TaskStatus.Ended), "judged");
        assertEq(tasks.getTask(sessionId, 0).finishedAt, START + 5, "finished");
    }

    /// @dev The fourth miner's part is in another word than the first three's.
    function test_more_than_three_miners_are_kept_and_paid_like_three() public {
        uint256 wide = fundedSession(5);
        relaySubmission(submission(wide, LANE));
        assign(wide, LANE, miners(5));
        for (uint256 i; i < 5; ++i) {
            precommit(wide, LANE, i);
        }
        for (uint256 i; i < 5; ++i) {
            commit(wide, LANE, i);
        }
        (, string[] memory results) = tasks.getTaskResults(wide, LANE);
        for (uint256 i; i < 5; ++i) {
            assertEq(results[i], result(i), "result");
        }
        judge(wide, LANE, 5, 10_000);
        for (uint256 i; i < 5; ++i) {
            assertEq(payment.owedTo(miner(i)), worstCase(1, MAX_INPUT_TOKENS), "pay");
        }
        assertSolvent();
    }

    function test_tasks_of_all_lanes_are_counted_and_listed_in_order() public {
        relaySubmission(submission(sessionId, LANE + 3));
        relaySubmission(submission(sessionId, LANE + 4));
        uint256 empty = openSession(1);
        uint256[] memory ids = new uint256[](2);
        (ids[0], ids[1]) = (sessionId, empty);
        uint256[] memory counts = tasks.getTaskCountBySessionIds(ids);
        assertEq(counts[0], 3, "three");
        assertEq(counts[1], 0, "none");
        assertEq(tasks.getTasksBySessionId(sessionId)[2].id, LANE + 4, "the last");
        assertEq(tasks.getLatestTask(sessionId), ADDRESS_OF_PROMPT, "latest");
        assertEq(tasks.getLatestTask(empty), "", "none");
    }

    function test_what_was_never_submitted_holds_nothing_and_is_not_found() public {
        assertEq(tasks.reservedOf(sessionId, 5), 0, "nothing reserved");
        vm.expectRevert(abi.encodeWithSelector(TaskLedger.TaskNotFound.selector, sessionId, 5));
        tasks.getTask(sessionId, 5);
    }

    function testFuzz_a_texts_hash_is_keccaks(string calldata text) public view {
        bytes32 hash = tasks.getHash(text);
        assertEq(hash, keccak256(bytes(text)), "hash");
        assertTrue(tasks.verifyHash(text, hash), "right");
        assertTrue(!tasks.verifyHash(text, ~hash), "wrong");
    }
}
