// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ContentAddress} from "../src/common/ContentAddress.sol";
import {
    Assignment,
    Reveal,
    SignedPrecommit,
    SignedVerdict,
    Submission,
    TaskStatus,
    Verdict
} from "../src/task/TaskTypes.sol";
import {Network} from "./Network.sol";

/// @dev What a task costs by stage, the miners' and the validator's part included: content-addressed, with one,
///      three and five miners, relayed in batches of 1, 10 and 50 tasks and by direct transactions. Every call
///      is a transaction of its own here, with its 21,000 gas, its calldata and cold storage. The figures of one
///      task are in contracts/gas/r<redundancy>_b<batch>.json and r<redundancy>_direct.json.
contract GasTest is Network {
    uint256 private sessionId;
    uint256 private redundancy;
    uint256 private total;
    string private group;

    function setUp() public {
        deployNetwork();
    }

    /// forge-config: default.isolate = true
    function test_gas_r1_b1() public {
        relayTasks(1, 1, "r1_b1");
    }

    /// forge-config: default.isolate = true
    function test_gas_r1_b10() public {
        relayTasks(1, 10, "r1_b10");
    }

    /// forge-config: default.isolate = true
    function test_gas_r1_b50() public {
        relayTasks(1, 50, "r1_b50");
    }

    /// forge-config: default.isolate = true
    function test_gas_r3_b1() public {
        relayTasks(3, 1, "r3_b1");
    }

    /// forge-config: default.isolate = true
    function test_gas_r3_b10() public {
        relayTasks(3, 10, "r3_b10");
    }

    /// forge-config: default.isolate = true
    function test_gas_r3_b50() public {
        relayTasks(3, 50, "r3_b50");
    }

    /// forge-config: default.isolate = true
    function test_gas_r5_b1() public {
        relayTasks(5, 1, "r5_b1");
    }

    /// forge-config: default.isolate = true
    function test_gas_r5_b10() public {
        relayTasks(5, 10, "r5_b10");
    }

    /// forge-config: default.isolate = true
    function test_gas_r5_b50() public {
        relayTasks(5, 50, "r5_b50");
    }

    /// forge-config: default.isolate = true
    function test_gas_r1_direct() public {
        sendTask(1, "r1_direct");
    }

    /// forge-config: default.isolate = true
    function test_gas_r3_direct() public {
        sendTask(3, "r3_direct");
    }

    /// forge-config: default.isolate = true
    function test_gas_r5_direct() public {
        sendTask(5, "r5_direct");
    }

    // ---------------------------------------------------------------- relayed

    function relayTasks(uint256 miners_, uint256 batch, string memory group_) private {
        warmUp(miners_, group_);
        Submission[] memory submissions = new Submission[](batch);
        Assignment[] memory assignments = new Assignment[](batch);
        for (uint256 t; t < batch; ++t) {
            submissions[t] = plain(taskOf(t));
            assignments[t] = Assignment(sessionId, taskOf(t), miners(redundancy), MODEL);
        }
        vm.prank(router);
        session.relaySubmissions(submissions);
        record("1 submit", batch);
        vm.prank(router);
        queue.assignTasks(assignments);
        record("2 assign", batch);
        relayPrecommits(batch);
        relayCommits(batch);
        relayVerdicts(batch);
        for (uint256 t; t < batch; ++t) {
            assertEq(tasks.getTaskStatus(sessionId, taskOf(t)), uint256(TaskStatus.Ended), "ended");
        }
        vm.snapshotValue(group, "total", total);
    }

    function relayPrecommits(uint256 batch) private {
        SignedPrecommit[] memory items = new SignedPrecommit[](batch * redundancy);
        for (uint256 i; i < items.length; ++i) {
            (uint256 taskId, uint256 m) = (taskOf(i / redundancy), i % redundancy);
            bytes32 hash = tasks.commitHash(sessionId, taskId, miner(m), ContentAddress.unpack(content(i)));
            items[i] = signedPrecommit(sessionId, taskId, m, hash);
        }
        queue.relayPrecommits(items);
        record("3 precommit", batch);
    }

    function relayCommits(uint256 batch) private {
        Reveal[] memory items = new Reveal[](batch * redundancy);
        for (uint256 i; i < items.length; ++i) {
            (uint256 taskId, uint256 m) = (taskOf(i / redundancy), i % redundancy);
            items[i] = Reveal(sessionId, taskId, miner(m), content(i));
        }
        queue.relayCommits(items, new string[](0));
        record("4 commit", batch);
    }

    function relayVerdicts(uint256 batch) private {
        SignedVerdict[] memory items = new SignedVerdict[](batch);
        for (uint256 t; t < batch; ++t) {
            Verdict memory v = verdictOf(sessionId, taskOf(t), miners(redundancy), 10_000);
            items[t] = signedVerdict(v, VALIDATOR_KEY);
        }
        queue.relayVerdicts(items);
        record("5 verdict and settlement", batch);
    }

    // ---------------------------------------------------------------- direct

    function sendTask(uint256 miners_, string memory group_) private {
        warmUp(miners_, group_);
        vm.prank(client);
        session.submit(sessionId, 0, ADDRESS_OF_PROMPT, 1, "", llmParams(), requestParams(), "");
        record("1 submit", 1);
        uint256 taskId = 1; // the second of the owner's own
        vm.prank(router);
        queue.assignTask(sessionId, taskId, miners(redundancy), MODEL);
        record("2 assign", 1);
        for (uint256 i; i < redundancy; ++i) {
            bytes32 hash = tasks.commitHash(sessionId, taskId, miner(i), ContentAddress.unpack(content(i)));
            vm.prank(miner(i));
            queue.precommit(sessionId, taskId, hash, "");
            record("3 precommit", 1, i);
        }
        for (uint256 i; i < redundancy; ++i) {
            string memory data = ContentAddress.unpack(content(i));
            vm.prank(miner(i));
            queue.commit(sessionId, taskId, data);
            record("4 commit", 1, i);
        }
        Verdict memory v = verdictOf(sessionId, taskId, miners(redundancy), 10_000);
        v.inputTokens = 1;
        vm.prank(validator);
        queue.verdict(v);
        record("5 verdict and settlement", 1);
        assertEq(tasks.getTaskStatus(sessionId, taskId), uint256(TaskStatus.Ended), "ended");
        vm.snapshotValue(group, "total", total);
    }

    // ---------------------------------------------------------------- words of this test

    /// @dev The network has been used before: counters, totals and records are not at zero.
    function warmUp(uint256 miners_, string memory group_) private {
        (redundancy, group) = (miners_, group_);
        sessionId = fundedSession(miners_);
        vm.prank(client);
        session.submit(sessionId, 0, ADDRESS_OF_PROMPT, 1, "", llmParams(), requestParams(), "");
        relaySubmission(plain(LANE));
        assign(sessionId, LANE, miners(miners_));
        for (uint256 i; i < miners_; ++i) {
            precommit(sessionId, LANE, i);
        }
        for (uint256 i; i < miners_; ++i) {
            commit(sessionId, LANE, i);
        }
        judge(sessionId, LANE, miners_, 10_000);
    }

    function plain(uint256 taskId) private view returns (Submission memory item) {
        item = submission(sessionId, taskId);
        item.clientReference = "";
    }

    function record(string memory stage, uint256 batch) private {
        uint256 gas_ = vm.snapshotGasLastCall(group, stage) / batch;
        vm.snapshotValue(group, stage, gas_);
        total += gas_;
    }

    /// @dev The sum of a stage's transactions, of which this is the `i`-th.
    uint256 private stageSum;

    function record(string memory stage, uint256, uint256 i) private {
        uint256 gas_ = vm.snapshotGasLastCall(group, stage);
        stageSum = i == 0 ? gas_ : stageSum + gas_;
        vm.snapshotValue(group, stage, stageSum);
        total += gas_;
    }

    function taskOf(uint256 t) private pure returns (uint256) {
        return LANE + 1 + t;
    }

    function content(uint256 i) private pure returns (bytes32) {
        return keccak256(abi.encode(i));
    }
}
