// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {CallBatching} from "../src/common/CallBatching.sol";
import {Mark, Marks} from "../src/task/Marks.sol";
import {NetworkPrecommit} from "../src/network/NetworkTypes.sol";
import {NodePool, Registration} from "../src/node/NodePool.sol";
import {SessionNodes} from "../src/session/SessionNodes.sol";
import {Holding, SessionPayment} from "../src/money/SessionPayment.sol";
import {SessionRouters} from "../src/session/SessionRouters.sol";
import {SessionTasks} from "../src/session/SessionTasks.sol";
import {TaskFlow} from "../src/task/TaskFlow.sol";
import {TaskLedger} from "../src/task/TaskLedger.sol";
import {TaskTerms} from "../src/task/TaskTerms.sol";
import {SignedPrecommit, Submission, TaskStatus} from "../src/task/TaskTypes.sol";
import {IdleNetwork} from "./IdleNetwork.sol";

interface StorageVm {
    function store(address target, bytes32 slot, bytes32 value) external;
}

/// @dev Refusals that no honest caller meets: each is named, and changes nothing.
contract RefusalsTest is IdleNetwork {
    function setUp() public {
        deployIdleNetwork();
    }

    // ---------------------------------------------------------------- the escrow

    function test_a_model_costs_something() public {
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(SessionPayment.ZeroPrice.selector, 7));
        payment.setModelPrice(7, 0, 0);
        payment.setModelPrice(7, 0, 1);
        payment.setModelPrice(7, 1, 0);
        vm.stopPrank();
    }

    function test_prices_have_an_end() public {
        // The list of prices is in slot 4 of the escrow: see forge inspect SessionPayment storageLayout.
        StorageVm(address(vm)).store(address(payment), bytes32(uint256(4)), bytes32(uint256(1 << 16)));
        vm.prank(admin);
        vm.expectRevert(abi.encodeWithSelector(SessionPayment.TooManyPrices.selector, type(uint16).max));
        payment.setModelPrice(7, 1, 1);
    }

    function test_nothing_is_reserved_that_a_settlement_could_not_tell() public {
        uint256 sessionId = fundedSession(1);
        vm.prank(admin);
        payment.setModelPrice(MODEL, 1, 1 << 96);
        vm.prank(address(queue));
        vm.expectRevert(
            abi.encodeWithSelector(
                SessionPayment.ReservationTooLarge.selector, uint256(1 << 96), uint256(type(uint96).max)
            )
        );
        payment.reserve(sessionId, 5, MODEL, 1, 0, termsOf(0, 1));
    }

    /// @dev As TaskTerms packs them, with no other terms.
    function termsOf(uint256 maxInputTokens, uint256 maxTokens) private pure returns (uint256) {
        return (maxInputTokens << 112) | (maxTokens << 88);
    }

    function test_the_escrow_never_pays_more_than_a_task_holds() public {
        uint256 sessionId = fundedSession(1);
        vm.startPrank(address(queue));
        uint256 priceId = payment.reserve(sessionId, 5, MODEL, 1, 0, termsOf(10, 10));
        uint256 held = 10 * INPUT_PRICE + 10 * OUTPUT_PRICE;
        Holding memory holding = Holding(sessionId, 5, priceId, 1, 10, 10);
        Mark[] memory marks = new Mark[](2);
        (marks[0], marks[1]) =
            (Marks.given(miner(0), 10_000, 10_000, 10), Marks.given(miner(1), 10_000, 10_000, 10));
        vm.expectRevert(
            abi.encodeWithSelector(SessionPayment.InsufficientReservation.selector, sessionId, 5, 2 * held, held)
        );
        payment.settle(holding, 10, marks);
        vm.stopPrank();
        assertEq(payment.totalReserved(), held, "still reserved");
        assertSolvent();
    }

    // ---------------------------------------------------------------- sessions

    function test_a_session_is_not_handed_to_nobody() public {
        uint256 sessionId = openSession(1);
        vm.startPrank(client);
        vm.expectRevert(SessionRouters.ZeroAddress.selector);
        session.updateOwner(sessionId, address(0));
        vm.expectRevert(SessionRouters.ZeroAddress.selector);
        session.addRouter(sessionId, address(0), "");
        vm.expectRevert(abi.encodeWithSelector(SessionRouters.RouterListed.selector, sessionId, router));
        session.addRouter(sessionId, router, "again");
        session.deactivateSession(sessionId);
        vm.expectRevert(abi.encodeWithSelector(SessionNodes.SessionInactive.selector, sessionId));
        session.deactivateSession(sessionId);
        vm.stopPrank();
    }

    function test_terms_that_do_not_fit_are_named() public {
        uint256 wide = uint256(type(uint32).max) + 1;
        vm.expectRevert(outOfRange("maxNumOfNodes", wide, type(uint32).max));
        session.create("", "", client, 1, wide, 1, 0, 0, false, 0, MODEL, 0, 0);
        vm.expectRevert(outOfRange("numOfValidatorNodes", 65_536, 65_535));
        session.create("", "", client, 1, 1, 1, 65_536, 0, false, 0, MODEL, 0, 0);
        vm.expectRevert(outOfRange("reservePeriod", 365 days + 1, 365 days));
        session.create("", "", client, 1, 1, 1, 0, 0, false, 0, MODEL, 365 days + 1, 0);
    }

    function test_a_submission_that_does_not_fit_is_named() public {
        uint256 sessionId = fundedSession(1);
        Submission memory item = submission(sessionId, LANE);
        item.promptType = 256;
        refuse(item, outOfRange("promptType", 256, 255));
        item = submission(sessionId, LANE);
        item.maxInputTokens = 1 << 20;
        refuse(item, outOfRange("maxInputTokens", 1 << 20, (1 << 20) - 1));
        item = submission(sessionId, LANE);
        item.promptTemplate = string(new bytes(16 * 1024 + 1));
        refuse(item, outOfRange("promptTemplate", 16 * 1024 + 1, 16 * 1024));
        item = submission(sessionId, LANE);
        item.clientReference = string(new bytes(257));
        refuse(item, outOfRange("clientReference", 257, 256));
        item = submission(sessionId, LANE);
        item.llmParams = filled(65, 1);
        refuse(item, outOfRange("llmParams.length", 65, 64));
        item = submission(sessionId, LANE);
        item.requestParams = filled(65, 5);
        refuse(item, outOfRange("requestParams.length", 65, 64));
        item = submission(sessionId, LANE);
        item.llmParams = new uint256[](0);
        refuse(item, abi.encodePacked(SessionTasks.MaxTokensMissing.selector));
        vm.expectRevert(outOfRange("promptType", 256, 255));
        item.promptType = 256;
        session.digestOf(item);
    }

    function test_a_timeout_is_brought_into_its_bounds_not_refused() public {
        uint256 sessionId = fundedSession(1);
        assertEq(queueSeconds(sessionId, LANE, 0), 60, "none: the usual one");
        assertEq(queueSeconds(sessionId, LANE + 1, 1), 5, "the least");
        assertEq(queueSeconds(sessionId, LANE + 2, 100_000), 3600, "the most");
    }

    function test_a_relayer_cannot_starve_a_submission() public {
        uint256 sessionId = fundedSession(1);
        Submission[] memory items = new Submission[](1);
        items[0] = submission(sessionId, LANE);
        bool starved;
        for (uint256 gasLimit = 30_000; gasLimit < 600_000; gasLimit += 1_000) {
            vm.recordLogs();
            vm.prank(router);
            try session.relaySubmissions{gas: gasLimit}(items) {
                assertEq(skipped().length, 0, "done or reverted, never skipped for want of gas");
                assertTrue(starved, "the queue ran out of gas at least once, and the batch reverted");
                return;
            } catch (bytes memory reason) {
                if (bytes4(reason) == SessionTasks.ElementOutOfGas.selector) starved = true;
            }
        }
        assertTrue(false, "it went through with enough gas");
    }

    // ---------------------------------------------------------------- tasks

    function test_a_precommit_says_something_and_a_reveal_has_bounds() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        string memory long = string(new bytes(16 * 1024 + 1));
        bytes32 hash = tasks.commitHash(sessionId, taskId, miner(0), long);
        vm.startPrank(miner(0));
        vm.expectRevert(TaskFlow.ZeroHash.selector);
        queue.precommit(sessionId, taskId, 0, "");
        queue.precommit(sessionId, taskId, hash, "");
        vm.expectRevert(TaskFlow.EmptyData.selector);
        queue.commit(sessionId, taskId, "");
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.DataTooLong.selector, 16 * 1024 + 1, 16 * 1024));
        queue.commit(sessionId, taskId, long);
        vm.stopPrank();
        assertEq(tasks.getTaskStatus(sessionId, taskId), uint256(TaskStatus.Precommitted), "nothing changed");
    }

    function test_a_step_that_comes_twice_or_late_is_refused() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(2);
        bytes32 hash = hashOf(sessionId, taskId, 0);
        vm.prank(router);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.WrongStatus.selector, TaskStatus.Assigned));
        queue.assignTask(sessionId, taskId, miners(2), MODEL);
        precommit(sessionId, taskId, 0);
        vm.startPrank(miner(0));
        vm.expectRevert(TaskFlow.AlreadyDone.selector);
        queue.precommit(sessionId, taskId, hash, "");
        vm.expectRevert(TaskFlow.AlreadyDone.selector);
        queue.ack(sessionId, taskId);
        vm.stopPrank();
        tick(61);
        vm.prank(miner(1));
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.TooLate.selector, time, time - 1));
        queue.ack(sessionId, taskId);
        vm.prank(oracle);
        tasks.endPrecommit(sessionId, taskId, true);
        vm.startPrank(miner(1));
        vm.expectRevert(TaskFlow.PhaseOver.selector);
        queue.ack(sessionId, taskId);
        vm.expectRevert(TaskFlow.PhaseOver.selector);
        queue.precommit(sessionId, taskId, hash, "");
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.PartNotReady.selector, TaskStatus.Assigned));
        queue.commit(sessionId, taskId, result(1));
        vm.stopPrank();
        vm.prank(miner(3));
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.NotAssigned.selector, miner(3)));
        queue.commit(sessionId, taskId, result(0));
        commit(sessionId, taskId, 0);
        vm.prank(miner(0));
        vm.expectRevert(TaskFlow.AlreadyDone.selector);
        queue.commit(sessionId, taskId, result(0));
        vm.prank(miner(1));
        vm.expectRevert(TaskFlow.PhaseOver.selector);
        queue.commit(sessionId, taskId, result(1));
    }

    function test_a_task_that_nobody_took_in_time_cannot_be_assigned() public {
        uint256 sessionId = fundedSession(1);
        relaySubmission(submission(sessionId, LANE));
        tick(TIMEOUT + GRACE + 1);
        vm.prank(router);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.TooLate.selector, time, time - 1));
        queue.assignTask(sessionId, LANE, miners(1), MODEL);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.WrongStatus.selector, TaskStatus.Queued));
        tasks.endPrecommit(sessionId, LANE, false);
    }

    function test_a_verdict_on_a_task_that_is_not_there_is_refused() public {
        (uint256 sessionId,) = assignedTask(1);
        vm.prank(validator);
        vm.expectRevert(abi.encodeWithSelector(TaskLedger.TaskNotFound.selector, sessionId, 77));
        queue.verdict(verdictOf(sessionId, 77, miners(1), 0));
    }

    function test_a_batch_may_go_from_task_to_task() public {
        uint256 sessionId = fundedSession(1);
        SignedPrecommit[] memory items = new SignedPrecommit[](2);
        for (uint256 i; i < 2; ++i) {
            relaySubmission(submission(sessionId, LANE + i));
            address[] memory chosen = list(miner(i));
            assign(sessionId, LANE + i, chosen);
            items[i] = signedPrecommit(sessionId, LANE + i, i, hashOf(sessionId, LANE + i, i));
        }
        queue.relayPrecommits(items);
        for (uint256 i; i < 2; ++i) {
            assertEq(tasks.getTaskStatus(sessionId, LANE + i), uint256(TaskStatus.Precommitted), "both");
        }
    }

    // ---------------------------------------------------------------- nodes

    function test_a_node_has_an_operator() public {
        Registration memory item = Registration(vm.addr(0x5151), address(0), 0);
        bytes32 typeHash = keccak256("Registration(address node,address operator,uint256 nonce)");
        bytes32 structHash = keccak256(abi.encode(typeHash, item.node, item.operator, item.nonce));
        bytes memory signature = signedFor(address(pool), 0x5151, structHash);
        vm.expectRevert(NodePool.ZeroOperator.selector);
        pool.registerFor(item, signature);
        assertEq(pool.nonces(item.node), 0, "the signature is not used up");
    }

    function test_nodes_without_stake_or_model_get_no_place() public {
        assertEq(pool.minimumStake(), 0, "none is asked for");
        assertEq(pool.usableNumbers(miners(2), MODEL)[1], 2, "the second that registered");
        vm.prank(admin);
        pool.setMinimumStake(1);
        assertEq(pool.usableNumbers(miners(2), MODEL)[1], 0, "without stake");
    }

    // ---------------------------------------------------------------- network tasks

    function test_a_relayer_cannot_starve_a_network_step() public {
        nextEpoch();
        pingAll(5);
        uint256 id = started();
        address node = network.get(id).miners[0];
        NetworkPrecommit[] memory items = new NetworkPrecommit[](1);
        items[0] = NetworkPrecommit(id, network.getSessionSeed(id), bytes32(uint256(7)));
        bytes32 typeHash = keccak256("NetworkPrecommit(uint256 id,uint256 seed,bytes32 hash)");
        bytes32 structHash = keccak256(abi.encode(typeHash, id, items[0].seed, items[0].hash));
        bytes[] memory signatures = new bytes[](1);
        signatures[0] = signedFor(address(cognitive), keyOf(node), structHash);
        bool starved;
        for (uint256 gasLimit = 20_000; gasLimit < 300_000; gasLimit += 500) {
            vm.recordLogs();
            try cognitive.relayPrecommits{gas: gasLimit}(items, signatures) {
                assertEq(skipped().length, 0, "done or reverted, never skipped for want of gas");
                assertTrue(starved, "the element ran out of gas at least once, and the batch reverted");
                return;
            } catch (bytes memory reason) {
                if (bytes4(reason) == CallBatching.ElementOutOfGas.selector) starved = true;
            }
        }
        assertTrue(false, "it went through with enough gas");
    }

    function test_network_contracts_know_each_other() public view {
        assertEq(address(cognitive.pool()), address(pool), "pool");
        assertEq(address(cognitive.stats()), address(stats), "stats");
        assertEq(address(cognitive.reputation()), address(reputation), "reputation");
        assertEq(address(cognitive.rewards()), address(rewards), "rewards");
        assertTrue(address(cognitive.views()) != address(0), "its other half");
        assertEq(address(rewards.token()), address(token), "token");
        assertEq(rewards.epochSeconds(), EPOCH, "epoch");
        assertEq(network.thresholdCreator(), 3, "creators");
        assertEq(network.thresholdPrepare(), 2, "preparers");
        assertEq(network.thresholdPrepareChallenge(), 2, "prompts of each");
        assertEq(network.thresholdMiner(), 5, "completers");
        assertEq(network.thresholdValidator(), 1, "validators");
        assertEq(network.getNodeId(client), keccak256(abi.encodePacked(client)), "a node's name");
    }

    // ---------------------------------------------------------------- words of this test

    function refuse(Submission memory item, bytes memory expected) private {
        vm.recordLogs();
        relaySubmission(item);
        assertEq(keccak256(skipped()), keccak256(expected), "refusal");
    }

    function queueSeconds(uint256 sessionId, uint256 taskId, uint256 timeout) private returns (uint256) {
        Submission memory item = submission(sessionId, taskId);
        item.requestParams[0] = timeout;
        relaySubmission(item);
        (uint256 deadline,,,) = tasks.getTaskDeadlines(sessionId, taskId);
        return deadline - time;
    }

    function outOfRange(bytes32 field, uint256 value, uint256 most) private pure returns (bytes memory) {
        return abi.encodeWithSelector(TaskTerms.OutOfRange.selector, field, value, most);
    }
}
