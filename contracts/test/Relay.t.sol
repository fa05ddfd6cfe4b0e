// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Batching} from "../src/Batching.sol";
import {NodePool, NodeState, Registration} from "../src/NodePool.sol";
import {SessionQueue} from "../src/SessionQueue.sol";
import {TaskFlow} from "../src/TaskFlow.sol";
import {
    Ack, Assignment, Commit, Precommit, Replacement, TaskRef, TaskStatus, Verdict
} from "../src/TaskTypes.sol";
import {Network} from "./Network.sol";
import {Log} from "./Vm.sol";

/// @dev Signatures that a stranger relays, in batches where the bad elements are skipped.
contract RelayTest is Network {
    function setUp() public {
        deployNetwork();
    }

    function test_a_relayed_task_runs_from_submit_to_payment_without_gas_of_the_miners() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(3);
        runRelayed(sessionId, taskId);
        assertEq(queue.getTaskStatus(sessionId, taskId), uint256(TaskStatus.Ended), "status");
        for (uint256 i; i < 3; ++i) {
            assertEq(miner(i).balance, 0, "no gas");
            assertEq(payment.owedTo(miner(i)), worstCase(1, MAX_INPUT_TOKENS), "pay");
        }
        assertSolvent();
    }

    function test_a_signature_of_another_key_is_skipped() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        Ack memory item = ackOf(sessionId, taskId, 0);
        bytes memory reason = relayOneAck(item, sign(item, minerKey(1)));
        assertEq(reason, abi.encodeWithSelector(SessionQueue.WrongSigner.selector, miner(0), miner(1)));
    }

    function test_a_signature_for_one_task_is_worthless_for_another() public {
        uint256 sessionId = fundedSession(1);
        relaySubmission(submission(sessionId, LANE));
        relaySubmission(submission(sessionId, LANE + 1));
        assign(sessionId, LANE, miners(1));
        assign(sessionId, LANE + 1, miners(1));
        Ack memory first = ackOf(sessionId, LANE, 0);
        bytes memory signature = sign(first, minerKey(0));

        // With the first task's digest it is not the second task's message …
        Ack memory replay = Ack(sessionId, LANE + 1, first.taskDigest, miner(0));
        bytes32 expected = queue.taskDigestOf(sessionId, LANE + 1);
        bytes memory reason = relayOneAck(replay, signature);
        assertEq(reason, abi.encodeWithSelector(TaskFlow.WrongDigest.selector, first.taskDigest, expected));
        // … and with the second task's digest it is not what the miner signed.
        replay.taskDigest = expected;
        assertTrue(bytes4(relayOneAck(replay, signature)) == SessionQueue.WrongSigner.selector, "wrong signer");
    }

    function test_a_signature_for_another_chain_or_contract_is_worthless() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        Ack memory m = ackOf(sessionId, taskId, 0);
        bytes32 typeHash = keccak256("Ack(uint256 sessionId,uint256 taskId,bytes32 taskDigest,address miner)");
        bytes32 structHash = keccak256(abi.encode(typeHash, m.sessionId, m.taskId, m.taskDigest, m.miner));
        bytes memory elsewhere = signedFor(address(0xbeef), minerKey(0), structHash);
        assertTrue(bytes4(relayOneAck(m, elsewhere)) == SessionQueue.WrongSigner.selector, "wrong signer");
    }

    function test_a_malformed_signature_is_skipped() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        bytes memory reason = relayOneAck(ackOf(sessionId, taskId, 0), hex"1234");
        assertTrue(reason.length >= 4, "refused with a reason");
    }

    function test_a_bad_element_does_not_sink_the_batch() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(3);
        Precommit[] memory items = new Precommit[](3);
        bytes[] memory signatures = new bytes[](3);
        for (uint256 i; i < 3; ++i) {
            items[i] = precommitOf(sessionId, taskId, i);
            signatures[i] = sign(items[i], minerKey(i));
        }
        items[1].hash = bytes32(uint256(7));
        vm.recordLogs();
        vm.prank(relayer);
        queue.relayPrecommits(items, signatures);
        (uint256 skipped, bytes32 kind, uint256 index,) = lastSkipped();
        assertEq(skipped, 1, "one is skipped");
        assertEq(kind, bytes32("precommit"), "kind");
        assertEq(index, 1, "index");
        assertEq(queue.getTaskResultState(sessionId, taskId, miner(0)), uint256(TaskStatus.Precommitted), "first");
        assertEq(queue.getTaskResultState(sessionId, taskId, miner(1)), uint256(TaskStatus.Assigned), "second");
        assertEq(queue.getTaskResultState(sessionId, taskId, miner(2)), uint256(TaskStatus.Precommitted), "third");
    }

    function test_what_is_there_already_is_skipped_harmlessly() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(2);
        Ack memory item = ackOf(sessionId, taskId, 0);
        bytes memory signature = sign(item, minerKey(0));
        assertEq(relayOneAck(item, signature).length, 0, "the first counts");
        assertEq(relayOneAck(item, signature), abi.encodePacked(TaskFlow.AlreadyDone.selector));
    }

    function test_a_relayer_cannot_starve_an_element() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        Ack[] memory items = new Ack[](1);
        items[0] = ackOf(sessionId, taskId, 0);
        bytes[] memory signatures = new bytes[](1);
        signatures[0] = sign(items[0], minerKey(0));
        bool starved;
        for (uint256 gasLimit = 5_000; gasLimit < 120_000; gasLimit += 500) {
            vm.recordLogs();
            try queue.relayAcks{gas: gasLimit}(items, signatures) {
                (uint256 skipped,,,) = lastSkipped();
                assertEq(skipped, 0, "done or reverted, never skipped for want of gas");
                assertTrue(starved, "the smallest amounts were not enough");
                return;
            } catch {
                starved = true;
            }
        }
        assertTrue(false, "it went through with enough gas");
    }

    function test_lists_of_different_lengths_are_refused() public {
        vm.expectRevert(abi.encodeWithSelector(Batching.LengthsDiffer.selector, 1, 0));
        queue.relayAcks(new Ack[](1), new bytes[](0));
    }

    function test_only_a_validators_signature_judges() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        precommit(sessionId, taskId, 0);
        commit(sessionId, taskId, 0);
        Verdict memory item = verdictOf(sessionId, taskId, 0, 10_000);
        relayVerdict(item, minerKey(0));
        assertEq(payment.owedTo(miner(0)), 0, "a miner cannot judge itself");
        relayVerdict(item, VALIDATOR_KEY);
        assertEq(payment.owedTo(miner(0)), worstCase(1, MAX_INPUT_TOKENS), "a validator can");
    }

    function test_batches_of_the_oracle_skip_what_cannot_be_done() public {
        uint256 sessionId = fundedSession(1);
        relaySubmission(submission(sessionId, LANE));
        Assignment[] memory items = new Assignment[](2);
        items[0] = Assignment(sessionId, 77, miners(1), MODEL);
        items[1] = Assignment(sessionId, LANE, miners(1), MODEL);
        vm.prank(router);
        queue.assignTasks(items);
        assertEq(queue.getTaskStatus(sessionId, LANE), uint256(TaskStatus.Assigned), "assigned");

        Replacement[] memory replacements = new Replacement[](2);
        replacements[0] = Replacement(sessionId, LANE, miner(4), miner(3));
        replacements[1] = Replacement(sessionId, LANE, miner(0), miner(1));
        vm.warp(START + 11);
        vm.prank(oracle);
        queue.replaceMiners(replacements);
        assertEq(queue.getTask(sessionId, LANE).assignedMiners[0], miner(1), "replaced");

        TaskRef[] memory tasks = new TaskRef[](2);
        tasks[0] = TaskRef(sessionId, 77);
        tasks[1] = TaskRef(sessionId, LANE);
        precommit(sessionId, LANE, 1);
        vm.warp(START + 11 + 61);
        queue.endCommits(tasks);
        assertEq(queue.getTaskStatus(sessionId, LANE), uint256(TaskStatus.Ended), "nobody revealed");
    }

    function test_doors_of_the_roles_stay_shut_for_others() public {
        vm.expectPartialRevert(bytes4(keccak256("MissingRole(address,bytes32)")));
        queue.assignTasks(new Assignment[](0));
        vm.expectPartialRevert(bytes4(keccak256("MissingRole(address,bytes32)")));
        queue.replaceMiners(new Replacement[](0));
        vm.expectPartialRevert(bytes4(keccak256("MissingRole(address,bytes32)")));
        queue.enqueue(submission(1, 0), 0, 1, MODEL);
        vm.expectPartialRevert(bytes4(keccak256("MissingRole(address,bytes32)")));
        payment.pay(1, 0, miner(0), 1);
        vm.expectPartialRevert(bytes4(keccak256("MissingRole(address,bytes32)")));
        payment.settle(1, 0);
        vm.expectPartialRevert(bytes4(keccak256("MissingRole(address,bytes32)")));
        pool.recordOutcome(miner(0), true);
        vm.expectPartialRevert(bytes4(keccak256("MissingRole(address,bytes32)")));
        pool.setNodeState(miner(0), NodeState.Ephemeral);
        vm.expectRevert(Batching.OnlySelf.selector);
        session.submitFromRouter(router, submission(1, LANE));
    }

    // ---------------------------------------------------------------- nodes

    function test_a_node_is_registered_by_its_signature_once() public {
        (uint256 key, address operator) = (0x5151, address(0x0b));
        Registration memory item = Registration(vm.addr(key), operator, 0);
        bytes memory signature = signRegistration(item, key);
        vm.prank(relayer);
        pool.registerFor(item, signature);
        assertEq(pool.getNode(item.node).operator, operator, "operator");
        vm.expectRevert(abi.encodeWithSelector(NodePool.WrongNonce.selector, item.node, 0, 1));
        pool.registerFor(item, signature);
        item.nonce = 1;
        bytes memory again = signRegistration(item, key);
        vm.expectRevert(abi.encodeWithSelector(NodePool.AlreadyRegistered.selector, item.node));
        pool.registerFor(item, again);
    }

    function test_nobody_registers_anothers_node() public {
        Registration memory item = Registration(vm.addr(0x5151), address(0x0b), 0);
        bytes memory signature = signRegistration(item, 0x5252);
        vm.expectRevert(abi.encodeWithSelector(NodePool.WrongSigner.selector, item.node, vm.addr(0x5252)));
        pool.registerFor(item, signature);
    }

    function test_reputation_stays_between_floor_and_cap() public {
        vm.startPrank(address(queue));
        for (uint256 i; i < 40; ++i) {
            pool.recordOutcome(miner(0), false);
        }
        assertEq(pool.reputationOf(miner(0)), -100, "floor");
        for (uint256 i; i < 1_110; ++i) {
            pool.recordOutcome(miner(0), true);
        }
        assertEq(pool.reputationOf(miner(0)), 1000, "cap");
        vm.stopPrank();
        assertEq(pool.getNodes(3, 10).length, 2, "a page at the end is short");
    }

    // ---------------------------------------------------------------- words of this test

    function ackOf(uint256 sessionId, uint256 taskId, uint256 i) private view returns (Ack memory) {
        return Ack(sessionId, taskId, queue.taskDigestOf(sessionId, taskId), miner(i));
    }

    function precommitOf(uint256 sessionId, uint256 taskId, uint256 i) private view returns (Precommit memory) {
        bytes32 digest = queue.taskDigestOf(sessionId, taskId);
        return Precommit(sessionId, taskId, digest, miner(i), hashOf(sessionId, taskId, i));
    }

    /// @return reason why it was skipped; empty when it was not
    function relayOneAck(Ack memory item, bytes memory signature) private returns (bytes memory reason) {
        Ack[] memory items = new Ack[](1);
        bytes[] memory signatures = new bytes[](1);
        (items[0], signatures[0]) = (item, signature);
        vm.recordLogs();
        vm.prank(relayer);
        queue.relayAcks(items, signatures);
        (,,, reason) = lastSkipped();
    }

    function relayVerdict(Verdict memory item, uint256 key) private {
        Verdict[] memory items = new Verdict[](1);
        bytes[] memory signatures = new bytes[](1);
        (items[0], signatures[0]) = (item, sign(item, key));
        vm.prank(relayer);
        queue.relayVerdicts(items, signatures);
    }

    function runRelayed(uint256 sessionId, uint256 taskId) private {
        bytes[] memory signatures = new bytes[](3);
        Ack[] memory acks = new Ack[](3);
        Precommit[] memory precommits = new Precommit[](3);
        Commit[] memory commits = new Commit[](3);
        Verdict[] memory verdicts = new Verdict[](3);
        for (uint256 i; i < 3; ++i) {
            acks[i] = ackOf(sessionId, taskId, i);
            signatures[i] = sign(acks[i], minerKey(i));
        }
        queue.relayAcks(acks, signatures);
        for (uint256 i; i < 3; ++i) {
            precommits[i] = precommitOf(sessionId, taskId, i);
            signatures[i] = sign(precommits[i], minerKey(i));
        }
        queue.relayPrecommits(precommits, signatures);
        for (uint256 i; i < 3; ++i) {
            commits[i] = Commit(sessionId, taskId, acks[i].taskDigest, miner(i), result(i));
            signatures[i] = sign(commits[i], minerKey(i));
        }
        queue.relayCommits(commits, signatures);
        for (uint256 i; i < 3; ++i) {
            verdicts[i] = verdictOf(sessionId, taskId, i, 10_000);
            signatures[i] = sign(verdicts[i], VALIDATOR_KEY);
        }
        queue.relayVerdicts(verdicts, signatures);
    }

    function signRegistration(Registration memory item, uint256 key) private view returns (bytes memory) {
        bytes32 typeHash = keccak256("Registration(address node,address operator,uint256 nonce)");
        bytes32 structHash = keccak256(abi.encode(typeHash, item.node, item.operator, item.nonce));
        return signedFor(address(pool), key, structHash);
    }

    function lastSkipped() private returns (uint256 count, bytes32 kind, uint256 index, bytes memory reason) {
        Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i; i < logs.length; ++i) {
            if (logs[i].topics[0] != Batching.RelaySkipped.selector) continue;
            ++count;
            kind = logs[i].topics[1];
            (index, reason) = abi.decode(logs[i].data, (uint256, bytes));
        }
    }

    function assertEq(bytes memory seen, bytes memory expected) private pure {
        assertEq(keccak256(seen), keccak256(expected), "reason");
    }
}
