// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Batching} from "../src/common/Batching.sol";
import {Mark} from "../src/task/Marks.sol";
import {NodePool, NodeState, Registration} from "../src/node/NodePool.sol";
import {Holding} from "../src/money/SessionPayment.sol";
import {SessionQueue} from "../src/task/SessionQueue.sol";
import {TaskFlow} from "../src/task/TaskFlow.sol";
import {TaskLedger} from "../src/task/TaskLedger.sol";
import {
    Assignment,
    NewTask,
    Replacement,
    Reveal,
    SignedAck,
    SignedPrecommit,
    SignedVerdict,
    TaskRef,
    TaskStatus,
    Verdict
} from "../src/task/TaskTypes.sol";
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
        assertEq(tasks.getTaskStatus(sessionId, taskId), uint256(TaskStatus.Ended), "status");
        for (uint256 i; i < 3; ++i) {
            assertEq(miner(i).balance, 0, "no gas");
            assertEq(payment.owedTo(miner(i)), worstCase(1, MAX_INPUT_TOKENS), "pay");
        }
        assertSolvent();
    }

    function test_a_signature_of_another_key_is_skipped() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        SignedAck memory item = signedAck(sessionId, taskId, 0);
        SignedAck memory other = signedAck(sessionId, taskId, 1);
        item.miner = other.miner;
        bytes memory reason = relayOneAck(item);
        assertEq(reason, abi.encodeWithSelector(SessionQueue.WrongSigner.selector, miner(1), lastRecovered(reason)));
    }

    function test_a_signature_for_one_task_is_worthless_for_another() public {
        uint256 sessionId = fundedSession(1);
        relaySubmission(submission(sessionId, LANE));
        relaySubmission(submission(sessionId, LANE + 1));
        assign(sessionId, LANE, miners(1));
        assign(sessionId, LANE + 1, miners(1));
        SignedAck memory replay = signedAck(sessionId, LANE, 0);
        replay.taskId = LANE + 1;
        assertTrue(bytes4(relayOneAck(replay)) == SessionQueue.WrongSigner.selector, "wrong signer");
    }

    function test_a_signature_for_another_chain_or_contract_is_worthless() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        SignedAck memory m = signedAck(sessionId, taskId, 0);
        bytes32 typeHash = keccak256("Ack(uint256 sessionId,uint256 taskId,bytes32 taskDigest,address miner)");
        bytes32 digest = tasks.taskDigestOf(sessionId, taskId);
        bytes32 structHash = keccak256(abi.encode(typeHash, m.sessionId, m.taskId, digest, m.miner));
        (m.r, m.vs) = shortForm(signedFor(address(0xbeef), minerKey(0), structHash));
        assertTrue(bytes4(relayOneAck(m)) == SessionQueue.WrongSigner.selector, "wrong signer");
        vm.chainId(77);
        m = signedAck(sessionId, taskId, 0);
        vm.chainId(31337);
        assertTrue(bytes4(relayOneAck(m)) == SessionQueue.WrongSigner.selector, "another chain's");
    }

    function test_a_malformed_signature_is_skipped() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        SignedAck memory item = signedAck(sessionId, taskId, 0);
        item.vs = bytes32(type(uint256).max);
        assertEq(relayOneAck(item), abi.encodePacked(SessionQueue.MalformedSignature.selector));
    }

    function test_a_bad_element_does_not_sink_the_batch() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(3);
        SignedPrecommit[] memory items = new SignedPrecommit[](3);
        for (uint256 i; i < 3; ++i) {
            items[i] = signedPrecommit(sessionId, taskId, i, hashOf(sessionId, taskId, i));
        }
        items[1].hash = bytes32(uint256(7));
        vm.recordLogs();
        vm.prank(relayer);
        queue.relayPrecommits(items);
        (uint256 skipped, bytes32 kind, uint256 index,) = lastSkipped();
        assertEq(skipped, 1, "one is skipped");
        assertEq(kind, bytes32("precommit"), "kind");
        assertEq(index, 1, "index");
        assertEq(tasks.getTaskResultState(sessionId, taskId, miner(0)), uint256(TaskStatus.Precommitted), "first");
        assertEq(tasks.getTaskResultState(sessionId, taskId, miner(1)), uint256(TaskStatus.Assigned), "second");
        assertEq(tasks.getTaskResultState(sessionId, taskId, miner(2)), uint256(TaskStatus.Precommitted), "third");
    }

    function test_what_is_there_already_is_skipped_harmlessly() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(2);
        SignedAck memory item = signedAck(sessionId, taskId, 0);
        assertEq(relayOneAck(item).length, 0, "the first counts");
        assertEq(relayOneAck(item), abi.encodePacked(TaskFlow.AlreadyDone.selector));
    }

    function test_a_relayer_cannot_starve_an_element() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        SignedAck[] memory items = new SignedAck[](1);
        items[0] = signedAck(sessionId, taskId, 0);
        bool starved;
        for (uint256 gasLimit = 5_000; gasLimit < 120_000; gasLimit += 500) {
            vm.recordLogs();
            try queue.relayAcks{gas: gasLimit}(items) {
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

    function test_a_text_that_is_missing_sinks_the_batch_of_its_sender() public {
        Reveal[] memory items = new Reveal[](1);
        vm.expectRevert(abi.encodeWithSelector(SessionQueue.TextMissing.selector, 0));
        queue.relayCommits(items, new string[](0));
    }

    function test_a_batch_about_tasks_that_are_not_there_says_so() public {
        (uint256 sessionId,) = assignedTask(1);
        bytes memory missing = abi.encodeWithSelector(TaskLedger.TaskNotFound.selector, sessionId, 77);
        SignedAck[] memory acks = new SignedAck[](1);
        (acks[0].sessionId, acks[0].taskId) = (sessionId, 77);
        vm.recordLogs();
        queue.relayAcks(acks);
        assertEq(lastReason(), missing);
        SignedPrecommit[] memory precommits = new SignedPrecommit[](1);
        (precommits[0].sessionId, precommits[0].taskId) = (sessionId, 77);
        vm.recordLogs();
        queue.relayPrecommits(precommits);
        assertEq(lastReason(), missing);
        Reveal[] memory reveals = new Reveal[](1);
        reveals[0] = Reveal(sessionId, 77, miner(0), bytes32(uint256(1)));
        vm.recordLogs();
        queue.relayCommits(reveals, new string[](0));
        assertEq(lastReason(), missing);
        SignedVerdict[] memory verdicts = new SignedVerdict[](1);
        verdicts[0].verdict = verdictOf(sessionId, 77, miners(1), 0);
        vm.recordLogs();
        queue.relayVerdicts(verdicts);
        assertEq(lastReason(), missing);
        assertEq(tasks.getTaskCountBySessionId(sessionId), 1, "and writes nothing");
    }

    function test_only_a_validators_signature_judges() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        precommit(sessionId, taskId, 0);
        commit(sessionId, taskId, 0);
        Verdict memory item = verdictOf(sessionId, taskId, miners(1), 10_000);
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
        assertEq(tasks.getTaskStatus(sessionId, LANE), uint256(TaskStatus.Assigned), "assigned");

        Replacement[] memory replacements = new Replacement[](2);
        replacements[0] = Replacement(sessionId, LANE, miner(4), miner(3));
        replacements[1] = Replacement(sessionId, LANE, miner(0), miner(1));
        vm.warp(START + 11);
        vm.prank(oracle);
        tasks.replaceMiners(replacements);
        assertEq(tasks.getTask(sessionId, LANE).assignedMiners[0], miner(1), "replaced");

        TaskRef[] memory refs = new TaskRef[](2);
        refs[0] = TaskRef(sessionId, 77);
        refs[1] = TaskRef(sessionId, LANE);
        precommit(sessionId, LANE, 1);
        vm.warp(START + 11 + STAGE_WINDOW + 1);
        tasks.endCommits(refs);
        assertEq(tasks.getTaskStatus(sessionId, LANE), uint256(TaskStatus.Ended), "nobody revealed");
    }

    function test_doors_of_the_roles_stay_shut_for_others() public {
        vm.expectPartialRevert(bytes4(keccak256("MissingRole(address,bytes32)")));
        queue.assignTasks(new Assignment[](0));
        vm.expectPartialRevert(bytes4(keccak256("MissingRole(address,bytes32)")));
        tasks.replaceMiners(new Replacement[](0));
        NewTask memory task;
        vm.expectPartialRevert(bytes4(keccak256("MissingRole(address,bytes32)")));
        queue.enqueue(task, "", "");
        vm.expectPartialRevert(bytes4(keccak256("MissingRole(address,bytes32)")));
        payment.reserve(1, 0, MODEL, 1, 0, 1);
        Holding memory holding;
        vm.expectPartialRevert(bytes4(keccak256("MissingRole(address,bytes32)")));
        payment.settle(holding, 0, new Mark[](0));
        vm.expectPartialRevert(bytes4(keccak256("MissingRole(address,bytes32)")));
        pool.recordOutcomes(miners(1), 1);
        vm.expectPartialRevert(bytes4(keccak256("MissingRole(address,bytes32)")));
        pool.recordMarks(new Mark[](0));
        vm.expectPartialRevert(bytes4(keccak256("MissingRole(address,bytes32)")));
        pool.setNodeState(miner(0), NodeState.Ephemeral);
        vm.expectPartialRevert(bytes4(keccak256("MissingRole(address,bytes32)")));
        pool.slash(miner(0));
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
            pool.recordOutcomes(miners(1), 0);
        }
        assertEq(pool.reputationOf(miner(0)), -100, "floor");
        for (uint256 i; i < 1_110; ++i) {
            pool.recordOutcomes(miners(1), 1);
        }
        assertEq(pool.reputationOf(miner(0)), 1000, "cap");
        vm.stopPrank();
        assertEq(pool.getNodes(3, 10).length, 2, "a page at the end is short");
    }

    // ---------------------------------------------------------------- words of this test

    /// @return reason why it was skipped; empty when it was not
    function relayOneAck(SignedAck memory item) private returns (bytes memory reason) {
        SignedAck[] memory items = new SignedAck[](1);
        items[0] = item;
        vm.recordLogs();
        vm.prank(relayer);
        queue.relayAcks(items);
        return lastReason();
    }

    function lastReason() private returns (bytes memory reason) {
        (,,, reason) = lastSkipped();
    }

    /// @dev The second argument of a WrongSigner.
    function lastRecovered(bytes memory reason) private pure returns (address recovered) {
        assembly ("memory-safe") {
            recovered := mload(add(reason, 0x44))
        }
    }

    function relayVerdict(Verdict memory item, uint256 key) private {
        SignedVerdict[] memory items = new SignedVerdict[](1);
        items[0] = signedVerdict(item, key);
        vm.prank(relayer);
        queue.relayVerdicts(items);
    }

    function runRelayed(uint256 sessionId, uint256 taskId) private {
        SignedAck[] memory acks = new SignedAck[](3);
        SignedPrecommit[] memory precommits = new SignedPrecommit[](3);
        Reveal[] memory reveals = new Reveal[](3);
        string[] memory texts = new string[](3);
        for (uint256 i; i < 3; ++i) {
            acks[i] = signedAck(sessionId, taskId, i);
            precommits[i] = signedPrecommit(sessionId, taskId, i, hashOf(sessionId, taskId, i));
            reveals[i] = Reveal(sessionId, taskId, miner(i), 0);
            texts[i] = result(i);
        }
        queue.relayAcks(acks);
        queue.relayPrecommits(precommits);
        queue.relayCommits(reveals, texts);
        relayVerdict(verdictOf(sessionId, taskId, miners(3), 10_000), VALIDATOR_KEY);
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
