// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {NodePool, NodeState} from "../src/node/NodePool.sol";
import {SessionNodes} from "../src/session/SessionNodes.sol";
import {TaskFlow} from "../src/task/TaskFlow.sol";
import {Assignment, TaskStatus} from "../src/task/TaskTypes.sol";
import {Network} from "./Network.sol";
import {Log} from "./Vm.sol";

/// @dev The list of nodes that work for one session before all others.
contract DedicatedNodesTest is Network {
    address private stranger = address(0x57);
    uint256 private sessionId;

    function setUp() public {
        deployNetwork();
        sessionId = hiringSession(0);
    }

    /// @dev A dedicated session of the client.
    function hiringSession(uint256 reservePeriod) private returns (uint256) {
        vm.prank(client);
        session.create("s", "m", address(0), 1, 3, 2, 1, 1, false, 0, MODEL, reservePeriod, 0);
        return sessions.getSessionCount();
    }

    function hire(uint256 toSession, uint256 i) private {
        vm.prank(client);
        session.addDedicatedNode(toSession, miner(i));
    }

    function idOf(uint256 i) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(miner(i)));
    }

    function test_a_node_on_the_list_is_seen_from_both_sides() public {
        hire(sessionId, 0);
        hire(sessionId, 1);
        assertEq(sessions.getSession(sessionId).dedicatedNodes.length, 2, "the list");
        assertEq(sessions.getSession(sessionId).dedicatedNodes[1], miner(1), "its order");
        assertTrue(sessions.getDedicatedNodeExists(sessionId, miner(0)), "on the list");
        assertTrue(!sessions.getDedicatedNodeExists(sessionId, miner(2)), "not on the list");
        assertTrue(!sessions.getDedicatedNodeExists(0, miner(2)), "nor on the one that does not exist");
        assertEq(sessions.getNodeSessionId(miner(0)), sessionId, "its session");
        assertEq(sessions.getNodeAssignedTimestamp(miner(0)), block.timestamp, "since when");
        assertTrue(sessions.isNodeAssignedToAnySession(miner(0)), "assigned");
        assertTrue(!sessions.isNodeAssignedToAnySession(miner(2)), "not assigned");
    }

    function test_the_list_takes_only_nodes_that_could_work_for_the_session() public {
        vm.startPrank(client);
        vm.expectRevert(abi.encodeWithSelector(SessionNodes.NodeNotEligible.selector, stranger));
        session.addDedicatedNode(sessionId, stranger);
        vm.stopPrank();
        uint256[] memory models = new uint256[](1);
        models[0] = 7;
        vm.prank(miner(0));
        pool.setModels(miner(0), models);
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(SessionNodes.NodeServesOtherModels.selector, miner(0), MODEL));
        session.addDedicatedNode(sessionId, miner(0));
    }

    function test_a_node_is_on_one_list_at_a_time() public {
        hire(sessionId, 0);
        uint256 other = hiringSession(0);
        vm.startPrank(client);
        vm.expectRevert(abi.encodeWithSelector(SessionNodes.NodeTaken.selector, miner(0), sessionId));
        session.addDedicatedNode(other, miner(0));
        vm.expectRevert(abi.encodeWithSelector(SessionNodes.NodeTaken.selector, miner(0), sessionId));
        session.addDedicatedNode(sessionId, miner(0));
        vm.expectRevert(abi.encodeWithSelector(SessionNodes.NodeNotOfSession.selector, miner(0), other));
        session.removeDedicatedNode(other, miner(0));
        session.removeDedicatedNode(sessionId, miner(0));
        session.addDedicatedNode(other, miner(0));
        vm.stopPrank();
        assertEq(sessions.getNodeSessionId(miner(0)), other, "moved");
        assertEq(sessions.getSession(sessionId).dedicatedNodes.length, 0, "the old list");
    }

    function test_only_the_sessions_owner_keeps_its_list() public {
        hire(sessionId, 0);
        bytes memory notOwner = abi.encodeWithSelector(SessionNodes.NotSessionOwner.selector, sessionId, stranger);
        vm.startPrank(stranger);
        vm.expectRevert(notOwner);
        session.addDedicatedNode(sessionId, miner(1));
        vm.expectRevert(notOwner);
        session.removeDedicatedNode(sessionId, miner(0));
        vm.stopPrank();
    }

    function test_a_closed_session_hires_nobody() public {
        vm.startPrank(client);
        session.deactivateSession(sessionId);
        vm.expectRevert(abi.encodeWithSelector(SessionNodes.SessionInactive.selector, sessionId));
        session.addDedicatedNode(sessionId, miner(0));
        vm.stopPrank();
    }

    function test_a_list_has_an_end() public {
        for (uint256 i; i < 65; ++i) {
            if (i >= 5) enrol(miner(i));
            if (i < 64) hire(sessionId, i);
        }
        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(SessionNodes.TooManyNodes.selector, sessionId, 64));
        session.addDedicatedNode(sessionId, miner(64));
    }

    // ---------------------------------------------------------------- release

    function test_node_operator_owner_and_oracle_end_a_hire_and_nobody_else() public {
        address[4] memory allowed = [miner(0), miner(0), client, oracle];
        for (uint256 i; i < allowed.length; ++i) {
            hire(sessionId, 0);
            vm.prank(stranger);
            vm.expectRevert(abi.encodeWithSelector(SessionNodes.MayNotRelease.selector, idOf(0), stranger));
            session.releaseByNodeId(idOf(0));
            vm.prank(allowed[i]);
            session.releaseByNodeId(idOf(0));
            assertTrue(!sessions.isNodeAssignedToAnySession(miner(0)), "released");
        }
        vm.expectRevert(abi.encodeWithSelector(SessionNodes.NodeNotAssigned.selector, idOf(0)));
        session.releaseByNodeId(idOf(0));
    }

    function test_anyone_ends_a_hire_whose_time_is_over() public {
        uint256 short = hiringSession(60);
        hire(short, 0);
        vm.warp(block.timestamp + 60);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(SessionNodes.MayNotRelease.selector, idOf(0), stranger));
        session.releaseByNodeId(idOf(0));
        vm.warp(block.timestamp + 1);
        vm.prank(stranger);
        session.releaseByNodeId(idOf(0));
        assertEq(sessions.getNodeSessionId(miner(0)), 0, "released");
    }

    function test_the_next_session_takes_a_node_whose_session_is_closed() public {
        hire(sessionId, 0);
        vm.prank(client);
        session.deactivateSession(sessionId);
        uint256 other = hiringSession(0);
        hire(other, 0);
        assertEq(sessions.getNodeSessionId(miner(0)), other, "moved");
        assertEq(sessions.getSession(sessionId).dedicatedNodes.length, 0, "the old list");
    }

    function testFuzz_lists_and_hires_agree_whatever_the_order(uint256 seed) public {
        uint256 other = hiringSession(0);
        for (uint256 step; step < 24; ++step) {
            uint256 word = uint256(keccak256(abi.encode(seed, step)));
            uint256 i = word % 5;
            uint256 hirer = sessions.getNodeSessionId(miner(i));
            if (hirer == 0) {
                hire(word & 256 == 0 ? sessionId : other, i);
            } else {
                vm.prank(client);
                session.removeDedicatedNode(hirer, miner(i));
            }
        }
        uint256 hired;
        for (uint256 i; i < 5; ++i) {
            if (sessions.isNodeAssignedToAnySession(miner(i))) ++hired;
        }
        assertEq(listed(sessionId) + listed(other), hired, "each hired node is on one list, once");
    }

    function listed(uint256 ofSession) private view returns (uint256) {
        address[] memory list = sessions.getSession(ofSession).dedicatedNodes;
        for (uint256 i; i < list.length; ++i) {
            assertTrue(sessions.getDedicatedNodeExists(ofSession, list[i]), "listed and hired");
        }
        return list.length;
    }

    // ---------------------------------------------------------------- whom the queue takes

    function test_a_dedicated_session_is_worked_for_by_its_own_nodes_alone() public {
        queuedTask();
        hire(sessionId, 0);
        hire(sessionId, 2);
        vm.prank(router);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.NotOfSession.selector, miner(1)));
        queue.assignTask(sessionId, LANE, miners(2), MODEL);
        assertEq(tasks.getTaskStatus(sessionId, LANE), uint256(TaskStatus.Queued), "nothing has changed");
        hire(sessionId, 1);
        assign(sessionId, LANE, miners(2));
        assertEq(tasks.getTask(sessionId, LANE).assignedMiners[1], miner(1), "once it is on the list");
        vm.warp(START + 11);
        vm.startPrank(oracle);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.NotOfSession.selector, miner(3)));
        tasks.replaceMiner(sessionId, LANE, miner(0), miner(3));
        tasks.replaceMiner(sessionId, LANE, miner(0), miner(2));
        vm.stopPrank();
    }

    function test_a_bad_assignment_of_a_batch_is_skipped_and_not_announced() public {
        queuedTask();
        hire(sessionId, 0);
        Assignment[] memory items = new Assignment[](1);
        items[0] = Assignment(sessionId, LANE, miners(2), MODEL);
        vm.recordLogs();
        vm.prank(router);
        queue.assignTasks(items);
        Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, 1, "one event");
        (, bytes memory reason) = abi.decode(logs[0].data, (uint256, bytes));
        assertEq(
            keccak256(reason),
            keccak256(abi.encodeWithSelector(TaskFlow.NotOfSession.selector, miner(1))),
            "why it was skipped"
        );
    }

    function test_of_a_dedicated_sessions_nodes_the_draw_names_one() public {
        queuedTask();
        hire(sessionId, 0);
        hire(sessionId, 1);
        assign(sessionId, LANE, miners(2));
        vm.warp(START + TIMEOUT * 3 / 4);
        vm.expectPartialRevert(TaskFlow.NobodyDrawn.selector);
        tasks.replaceMinerByDraw(sessionId, LANE, miner(0));
        hire(sessionId, 4);
        tasks.replaceMinerByDraw(sessionId, LANE, miner(0));
        assertEq(tasks.getTask(sessionId, LANE).assignedMiners[0], miner(4), "the only one that is left");
    }

    function test_whom_a_draw_can_name_follows_from_the_sessions_mode() public {
        uint256 shared = openSession(1);
        bytes32 seed = keccak256("seed");
        assertEq(session.drawn(shared, seed, 1), pool.drawn(seed, 1), "any node");
        assertEq(session.drawn(sessionId, seed, 1), address(0), "none is on the list");
        hire(sessionId, 3);
        assertEq(session.drawn(sessionId, seed, 1), miner(3), "the only one that is");
        assertTrue(session.mayWorkFor(shared, miner(0)), "any may");
        assertTrue(session.mayWorkFor(sessionId, miner(3)), "this one may");
        assertTrue(!session.mayWorkFor(sessionId, miner(0)), "this one may not");
    }

    function test_a_hybrid_session_takes_shared_nodes_for_what_is_left() public {
        vm.prank(client);
        session.update("s", "m", sessionId, 1, 3, 2, 1, 2);
        queuedTask();
        hire(sessionId, 0);
        assign(sessionId, LANE, miners(2));
        assertEq(tasks.getTask(sessionId, LANE).assignedMiners[1], miner(1), "a shared one");
    }

    function queuedTask() private {
        fund(sessionId, 1e9);
        relaySubmission(submission(sessionId, LANE));
    }

    // ---------------------------------------------------------------- the node's own word

    function test_an_operator_keeps_its_node_for_its_session_or_shares_it_again() public {
        vm.startPrank(miner(0));
        pool.setDedicated(miner(0), true);
        assertTrue(pool.getNode(miner(0)).state == NodeState.Dedicated, "kept");
        assertTrue(pool.isEligible(miner(0)), "and still of use");
        vm.expectRevert(abi.encodeWithSelector(NodePool.StateNotAllowed.selector, NodeState.Dedicated));
        pool.setDedicated(miner(0), true);
        pool.setDedicated(miner(0), false);
        assertTrue(pool.getNode(miner(0)).state == NodeState.Ephemeral, "shared");
        vm.expectRevert(abi.encodeWithSelector(NodePool.NotOperator.selector, miner(1), miner(0)));
        pool.setDedicated(miner(1), true);
        pool.retire(miner(0));
        vm.expectRevert(abi.encodeWithSelector(NodePool.StateNotAllowed.selector, NodeState.Registered));
        pool.setDedicated(miner(0), false);
        vm.stopPrank();
    }
}
