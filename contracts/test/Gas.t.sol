// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ContentAddress} from "../src/ContentAddress.sol";
import {Ack, Assignment, Commit, Precommit, Submission, TaskStatus, Verdict} from "../src/TaskTypes.sol";
import {Network} from "./Network.sol";

/// @dev What a task costs by stage: a batch of 50 tasks with three miners each, all content-addressed, all
///      relayed. Every call is a transaction of its own here, with cold storage. The figures of
///      one task are in contracts/gas/task.json, those of the batches in contracts/gas/batch.json.
contract GasTest is Network {
    uint256 private constant TASKS = 50;
    uint256 private constant MINERS = 3;

    uint256 private sessionId;
    uint256 private total;

    function setUp() public {
        deployNetwork();
        sessionId = fundedSession(MINERS);
        // The network has been used before: counters, totals and records are not at zero.
        relaySubmission(submission(sessionId, LANE));
        assign(sessionId, LANE, miners(MINERS));
        for (uint256 i; i < MINERS; ++i) {
            precommit(sessionId, LANE, i);
        }
        for (uint256 i; i < MINERS; ++i) {
            commit(sessionId, LANE, i);
        }
        for (uint256 i; i < MINERS; ++i) {
            judge(sessionId, LANE, i, 10_000);
        }
    }

    /// forge-config: default.isolate = true
    function test_gas_of_a_task_by_stage() public {
        Submission[] memory submissions = new Submission[](TASKS);
        Assignment[] memory assignments = new Assignment[](TASKS);
        for (uint256 t; t < TASKS; ++t) {
            submissions[t] = submission(sessionId, taskOf(t));
            assignments[t] = Assignment(sessionId, taskOf(t), miners(MINERS), MODEL);
        }
        vm.prank(router);
        session.relaySubmissions(submissions);
        record("1 submit");
        vm.prank(router);
        queue.assignTasks(assignments);
        record("2 assign");
        relayAcks();
        relayPrecommits();
        relayCommits();
        relayVerdicts();
        for (uint256 t; t < TASKS; ++t) {
            assertEq(queue.getTaskStatus(sessionId, taskOf(t)), uint256(TaskStatus.Ended), "ended");
        }
        vm.snapshotValue("task", "total", total);
    }

    function relayAcks() private {
        Ack[] memory items = new Ack[](TASKS * MINERS);
        bytes[] memory signatures = new bytes[](items.length);
        for (uint256 i; i < items.length; ++i) {
            (uint256 taskId, uint256 m) = (taskOf(i / MINERS), i % MINERS);
            items[i] = Ack(sessionId, taskId, digestOf(taskId), miner(m));
            signatures[i] = sign(items[i], minerKey(m));
        }
        queue.relayAcks(items, signatures);
        record("3 ack");
    }

    function relayPrecommits() private {
        Precommit[] memory items = new Precommit[](TASKS * MINERS);
        bytes[] memory signatures = new bytes[](items.length);
        for (uint256 i; i < items.length; ++i) {
            (uint256 taskId, uint256 m) = (taskOf(i / MINERS), i % MINERS);
            bytes32 hash = queue.commitHash(sessionId, taskId, miner(m), content(i));
            items[i] = Precommit(sessionId, taskId, digestOf(taskId), miner(m), hash);
            signatures[i] = sign(items[i], minerKey(m));
        }
        queue.relayPrecommits(items, signatures);
        record("4 precommit");
    }

    function relayCommits() private {
        Commit[] memory items = new Commit[](TASKS * MINERS);
        bytes[] memory signatures = new bytes[](items.length);
        for (uint256 i; i < items.length; ++i) {
            (uint256 taskId, uint256 m) = (taskOf(i / MINERS), i % MINERS);
            items[i] = Commit(sessionId, taskId, digestOf(taskId), miner(m), content(i));
            signatures[i] = sign(items[i], minerKey(m));
        }
        queue.relayCommits(items, signatures);
        record("5 commit");
    }

    function relayVerdicts() private {
        Verdict[] memory items = new Verdict[](TASKS * MINERS);
        bytes[] memory signatures = new bytes[](items.length);
        for (uint256 i; i < items.length; ++i) {
            items[i] = verdictOf(sessionId, taskOf(i / MINERS), i % MINERS, 10_000);
            signatures[i] = sign(items[i], VALIDATOR_KEY);
        }
        queue.relayVerdicts(items, signatures);
        record("6 verdict and settlement");
    }

    function record(string memory stage) private {
        uint256 aTask = vm.snapshotGasLastCall("batch", stage) / TASKS;
        vm.snapshotValue("task", stage, aTask);
        total += aTask;
    }

    function digestOf(uint256 taskId) private view returns (bytes32) {
        return queue.taskDigestOf(sessionId, taskId);
    }

    function taskOf(uint256 t) private pure returns (uint256) {
        return LANE + 1 + t;
    }

    function content(uint256 i) private pure returns (string memory) {
        return ContentAddress.unpack(keccak256(abi.encode(i)));
    }
}
