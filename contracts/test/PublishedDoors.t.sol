// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";

import {NodeState} from "../src/node/NodePool.sol";
import {RoleGuarded, RoleIds} from "../src/common/Roles.sol";
import {Session} from "../src/session/Session.sol";
import {SessionNodes} from "../src/session/SessionNodes.sol";
import {SessionTasks} from "../src/session/SessionTasks.sol";
import {TaskFlow} from "../src/task/TaskFlow.sol";
import {TaskLedger} from "../src/task/TaskLedger.sol";
import {Assignment, TaskDecoration, TaskStatus} from "../src/task/TaskTypes.sol";
import {Network} from "./Network.sol";
import {Log} from "./Vm.sol";

/// @dev The second doors of the published interface: each leads where the first one does.
contract PublishedDoorsTest is Network {
    /// @dev The end of the oracle's time, 5/8 of the timeout, and the first period of 4 seconds after it.
    uint256 private constant ORACLE_UNTIL = START + TIMEOUT / 2 + TIMEOUT / 8;
    uint256 private constant DRAW_AT = (ORACLE_UNTIL / 4 + 1) * 4;

    address private module = address(0x30d);

    function setUp() public {
        deployNetwork();
        for (uint256 i = 5; i < 9; ++i) {
            enrol(miner(i));
        }
        vm.startPrank(admin);
        roles.grantRole(roles.MODULE_ROLE(), module);
        vm.stopPrank();
    }

    // ---------------------------------------------------------------- enqueueTask

    function test_a_module_submits_as_the_sessions_owner_would() public {
        uint256 sessionId = fundedSession(2);
        vm.prank(client);
        session.submit(sessionId, 0, "one", 1, "", llmParams(), requestParams(), "");
        vm.recordLogs();
        assertEq(enqueue(sessionId, "two"), 1, "the owner's next number");
        assertEq(count("TaskSubmitted(uint256,uint256,string,string)", address(session)), 1, "submitted");
        assertEq(count("TaskQueued(uint256,uint256,uint256,string)", address(queue)), 1, "queued");
        assertEq(
            count("TaskReserved(uint256,uint256,bytes32,uint256,uint256)", address(payment)), 1, "reserved"
        );
        assertEq(tasks.getTaskData(sessionId, 1), "two", "its data");
        TaskDecoration memory seen = tasks.getTaskDecoration(sessionId, 1);
        assertEq(seen.maxTokens, MAX_TOKENS, "how it wants to be answered");
        assertEq(tasks.reservedOf(sessionId, 1), worstCase(2, 3 + session.TEMPLATE_TOKENS()), "its reservation");
        vm.prank(client);
        session.submit(sessionId, 0, "three", 1, "", llmParams(), requestParams(), "");
        assertEq(tasks.getTaskCountBySessionId(sessionId), 3, "no number twice");
        assign(sessionId, 1, miners(2));
        assertEq(tasks.getTaskStatus(sessionId, 1), uint256(TaskStatus.Assigned), "and it is worked on");
        assertSolvent();
    }

    function test_a_module_is_refused_what_its_owner_is_refused() public {
        uint256 sessionId = openSession(1);
        uint256 needed = worstCase(1, 1 + session.TEMPLATE_TOKENS());
        vm.startPrank(module);
        vm.expectRevert(
            abi.encodeWithSignature(
                "InsufficientSessionBalance(uint256,uint256,uint256)", sessionId, needed, 0
            )
        );
        queue.enqueueTask(sessionId, "x", 1, "", llmParams(), requestParams());
        vm.expectRevert(SessionTasks.EmptyTaskData.selector);
        queue.enqueueTask(sessionId, "", 1, "", llmParams(), requestParams());
        vm.stopPrank();
        vm.prank(admin);
        session.pauseIntake();
        vm.prank(module);
        vm.expectRevert(Pausable.EnforcedPause.selector);
        queue.enqueueTask(sessionId, "x", 1, "", llmParams(), requestParams());
        vm.prank(admin);
        session.unpauseIntake();
        vm.prank(client);
        session.deactivateSession(sessionId);
        vm.prank(module);
        vm.expectRevert(abi.encodeWithSelector(SessionNodes.SessionInactive.selector, sessionId));
        queue.enqueueTask(sessionId, "x", 1, "", llmParams(), requestParams());
    }

    function test_nobody_else_spends_a_sessions_money_by_it() public {
        uint256 sessionId = fundedSession(1);
        bytes memory missing = abi.encodeWithSelector(RoleGuarded.MissingRole.selector, router, RoleIds.MODULE);
        vm.startPrank(router);
        vm.expectRevert(missing);
        queue.enqueueTask(sessionId, "x", 1, "", llmParams(), requestParams());
        vm.expectRevert(missing);
        session.submitByModule(sessionId, "x", 1, "", llmParams(), requestParams());
        vm.stopPrank();
    }

    function test_a_submission_that_is_put_together_comes_from_the_contract_itself() public {
        uint256 sessionId = fundedSession(1);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(SessionTasks.NotSelf.selector, client));
        session.takeOwn(submission(sessionId, 0));
    }

    // ---------------------------------------------------------------- endAck

    function test_who_is_silent_loses_its_place_to_the_draw_and_who_has_acked_keeps_it() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(4);
        vm.prank(miner(1));
        queue.ack(sessionId, taskId);
        precommit(sessionId, taskId, 2);
        vm.warp(DRAW_AT - 1);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.TooEarly.selector, DRAW_AT - 1, DRAW_AT));
        tasks.endAck(sessionId, taskId);
        vm.warp(DRAW_AT);
        vm.prank(relayer);
        tasks.endAck(sessionId, taskId);
        address[] memory now_ = tasks.getTask(sessionId, taskId).assignedMiners;
        assertTrue(now_[0] != miner(0) && now_[3] != miner(3), "the silent are out");
        assertTrue(now_[0] != now_[3], "two others are in");
        assertTrue(now_[1] == miner(1) && now_[2] == miner(2), "the others have kept their places");
        assertEq(tasks.getTaskStatus(sessionId, taskId), uint256(TaskStatus.Acked), "the task goes on");
        assertEq(pool.reputationOf(miner(0)), -3, "silence costs");
        assertEq(pool.reputationOf(miner(1)), 0, "an ack does not");
        // The new ones have a lease of their own.
        vm.expectPartialRevert(TaskFlow.TooEarly.selector);
        tasks.endAck(sessionId, taskId);
    }

    function test_with_nobody_silent_there_is_no_ack_to_end() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        vm.prank(miner(0));
        queue.ack(sessionId, taskId);
        vm.warp(DRAW_AT);
        vm.expectRevert(TaskFlow.AlreadyDone.selector);
        tasks.endAck(sessionId, taskId);
    }

    function test_a_silent_miner_keeps_its_place_where_nobody_can_take_it() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(2);
        vm.startPrank(oracle);
        for (uint256 i = 2; i < 9; ++i) {
            pool.setNodeState(miner(i), NodeState.Registered);
        }
        vm.stopPrank();
        vm.warp(DRAW_AT);
        vm.expectPartialRevert(TaskFlow.NobodyDrawn.selector);
        tasks.endAck(sessionId, taskId);
        precommit(sessionId, taskId, 0);
        vm.prank(oracle);
        pool.setNodeState(miner(7), NodeState.Ephemeral);
        tasks.endAck(sessionId, taskId);
        assertEq(tasks.getTask(sessionId, taskId).assignedMiners[1], miner(7), "the only one left");
    }

    function test_ending_acks_names_what_it_cannot_do() public {
        uint256 sessionId = fundedSession(1);
        vm.expectRevert(abi.encodeWithSelector(TaskLedger.TaskNotFound.selector, sessionId, LANE));
        tasks.endAck(sessionId, LANE);
        relaySubmission(submission(sessionId, LANE));
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.WrongStatus.selector, TaskStatus.Queued));
        tasks.endAck(sessionId, LANE);
        assign(sessionId, LANE, miners(1));
        vm.warp(START + TIMEOUT + 1);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.TooLate.selector, START + TIMEOUT + 1, START + TIMEOUT));
        tasks.endAck(sessionId, LANE);
        vm.prank(oracle);
        tasks.endPrecommit(sessionId, LANE, true);
        vm.expectRevert(TaskFlow.PhaseOver.selector);
        tasks.endAck(sessionId, LANE);
    }

    // ---------------------------------------------------------------- end2, getUseSessionStats

    function test_the_second_end_keeps_the_rules_of_the_first() public {
        uint256 sessionId = fundedSession(1);
        relaySubmission(submission(sessionId, LANE));
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.WrongStatus.selector, TaskStatus.Queued));
        tasks.end2(sessionId, LANE, false);
        vm.expectRevert(
            abi.encodeWithSelector(TaskFlow.TooEarly.selector, START, START + TIMEOUT)
        );
        tasks.end2(sessionId, LANE, true);
        vm.warp(START + TIMEOUT + GRACE + 1);
        vm.prank(relayer);
        tasks.end2(sessionId, LANE, true);
        assertEq(tasks.getTaskStatus(sessionId, LANE), uint256(TaskStatus.Ended), "ended");
        assertEq(payment.sessionBalance(sessionId), 1e9, "refunded");
        vm.expectRevert(TaskFlow.AlreadyEnded.selector);
        tasks.end(sessionId, LANE, true);
    }

    function test_there_is_no_contract_of_session_statistics() public view {
        assertTrue(!tasks.getUseSessionStats(), "none");
    }

    // ---------------------------------------------------------------- Session's TaskAssigned

    function test_an_assignment_is_announced_by_session_too_with_the_nodes_ids() public {
        uint256 sessionId = fundedSession(2);
        relaySubmission(submission(sessionId, LANE));
        vm.recordLogs();
        assign(sessionId, LANE, miners(2));
        assertAnnounced(sessionId, LANE, 1);
    }

    function test_of_a_batch_each_assignment_that_counts_is_announced() public {
        uint256 sessionId = fundedSession(2);
        relaySubmission(submission(sessionId, LANE));
        Assignment[] memory items = new Assignment[](2);
        items[0] = Assignment(sessionId, LANE + 1, miners(2), MODEL);
        items[1] = Assignment(sessionId, LANE, miners(2), MODEL);
        vm.recordLogs();
        vm.prank(router);
        queue.assignTasks(items);
        assertAnnounced(sessionId, LANE, 1);
    }

    function test_only_the_queue_has_assignments_announced() public {
        vm.prank(admin);
        vm.expectRevert(abi.encodeWithSelector(SessionTasks.NotQueue.selector, admin));
        session.admitAssignment(1, 1, new bytes32[](0));
    }

    // ---------------------------------------------------------------- words of this test

    function enqueue(uint256 sessionId, string memory taskData) private returns (uint256) {
        vm.prank(module);
        return queue.enqueueTask(sessionId, taskData, 1, "", llmParams(), requestParams());
    }

    Log[] private logs;

    /// @dev How many logs of a kind there are among those recorded.
    function count(string memory signature, address emitter) private returns (uint256 found) {
        Log[] memory fresh = vm.getRecordedLogs();
        for (uint256 i; i < fresh.length; ++i) {
            logs.push(fresh[i]);
        }
        for (uint256 i; i < logs.length; ++i) {
            if (logs[i].topics[0] == keccak256(bytes(signature)) && logs[i].emitter == emitter) ++found;
        }
    }

    function assertAnnounced(uint256 sessionId, uint256 taskId, uint256 times) private {
        string memory kind = "TaskAssigned(uint256,uint256,bytes32[])";
        assertEq(count(kind, address(session)), times, "announced");
        for (uint256 i; i < logs.length; ++i) {
            if (logs[i].topics[0] != keccak256(bytes(kind))) continue;
            (uint256 ofSession, uint256 ofTask, bytes32[] memory ids) =
                abi.decode(logs[i].data, (uint256, uint256, bytes32[]));
            assertEq(ofSession, sessionId, "session");
            assertEq(ofTask, taskId, "task");
            assertEq(ids.length, 2, "both");
            assertEq(ids[0], sessions.getNodeId(miner(0)), "the first node");
            assertEq(ids[1], sessions.getNodeId(miner(1)), "the second");
        }
    }
}
