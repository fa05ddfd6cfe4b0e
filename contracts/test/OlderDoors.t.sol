// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";

import {Roles, RoleGuarded} from "../src/common/Roles.sol";
import {Session} from "../src/session/Session.sol";
import {SessionLedger} from "../src/session/SessionLedger.sol";
import {SessionNodes} from "../src/session/SessionNodes.sol";
import {SessionPayment} from "../src/money/SessionPayment.sol";
import {SessionView, SessionViews} from "../src/session/SessionViews.sol";
import {TaskStatus} from "../src/task/TaskTypes.sol";
import {Versioned} from "../src/common/Versioned.sol";
import {Network} from "./Network.sol";

/// @dev What clients of the interface of 2025 call beside what later ones do.
contract OlderDoorsTest is Network {
    uint256 private constant OTHER_MODEL = 7;

    function setUp() public {
        deployNetwork();
    }

    // ---------------------------------------------------------------- create

    function test_a_session_of_nine_arguments_has_the_default_model_and_no_limits() public {
        createOlder();
        SessionView memory seen = sessions.getSession(1);
        assertEq(seen.owner, client, "owner");
        assertEq(seen.name, "s", "name");
        assertEq(seen.redundant, 2, "redundant");
        assertEq(seen.modelIdentifier, MODEL, "model");
        assertEq(seen.maxTaskExecutionCount, session.MAX_TASK_EXECUTION_COUNT(), "as many tasks as can be");
        assertEq(seen.reservePeriod, 0, "no period");
        assertEq(seen.routerAddresses[0], router, "the default router");
        assertEq(sessions.getMode(1), 0, "mode");
    }

    function test_no_session_of_nine_arguments_while_the_intake_is_paused() public {
        vm.prank(admin);
        session.pauseIntake();
        vm.expectRevert(Pausable.EnforcedPause.selector);
        createOlder();
    }

    function test_model_zero_is_the_default_model_where_no_model_has_that_number() public {
        createWith(0);
        assertEq(session.modelOf(1), MODEL, "the first that had a price");
        vm.startPrank(admin);
        payment.setModelPrice(OTHER_MODEL, 1, 1);
        payment.setDefaultModel(OTHER_MODEL);
        vm.stopPrank();
        assertEq(payment.defaultModel(), OTHER_MODEL, "set");
        createWith(0);
        assertEq(session.modelOf(2), OTHER_MODEL, "the one that was set");
        vm.prank(admin);
        payment.setModelPrice(0, 1, 1);
        createWith(0);
        assertEq(session.modelOf(3), 0, "a model of that number");
        vm.expectRevert(abi.encodeWithSelector(Session.ModelWithoutPrice.selector, 9));
        createWith(9);
    }

    function test_the_default_model_is_the_administrators_to_set_and_has_a_price() public {
        vm.expectPartialRevert(RoleGuarded.MissingRole.selector);
        payment.setDefaultModel(MODEL);
        vm.prank(admin);
        vm.expectRevert(abi.encodeWithSelector(SessionPayment.ZeroPrice.selector, OTHER_MODEL));
        payment.setDefaultModel(OTHER_MODEL);
    }

    function test_without_any_price_there_is_no_default_model() public {
        roles = Roles(deploy("Roles", abi.encode(admin, 0)));
        SessionPayment empty = deployPayment(roles, token);
        Session bare = deploySession(roles, empty);
        vm.expectRevert(abi.encodeWithSelector(Session.ModelWithoutPrice.selector, 0));
        bare.create("s", "m", address(0), 1, 3, 1, 1, 0, false);
    }

    // ---------------------------------------------------------------- submit

    function test_a_task_of_seven_arguments_has_the_default_timeout() public {
        uint256 sessionId = fundedSession(1);
        vm.startPrank(client);
        session.submit(sessionId, 0, "What?", 1, "", llmParams(), "ref");
        session.submit(sessionId, 0, "What?", 1, "", llmParams(), new uint256[](0), "ref");
        vm.stopPrank();
        (uint256 queueDeadline,,,) = tasks.getTaskDeadlines(sessionId, 0);
        (uint256 later,,,) = tasks.getTaskDeadlines(sessionId, 1);
        assertEq(queueDeadline, START + 60, "the default");
        assertEq(later, queueDeadline, "as with an empty list");
        assertEq(tasks.getTaskData(sessionId, 0), "What?", "data");
        assertEq(tasks.sessionTaskCount(sessionId), 2, "numbered on");
    }

    function test_seven_arguments_keep_the_rules_of_eight() public {
        uint256 sessionId = fundedSession(1);
        vm.expectRevert(abi.encodeWithSelector(SessionNodes.NotSessionOwner.selector, sessionId, relayer));
        vm.prank(relayer);
        session.submit(sessionId, 0, "What?", 1, "", llmParams(), "ref");
        vm.prank(admin);
        session.pauseIntake();
        vm.expectRevert(Pausable.EnforcedPause.selector);
        vm.prank(client);
        session.submit(sessionId, 0, "What?", 1, "", llmParams(), "ref");
    }

    // ---------------------------------------------------------------- sessions and nodes

    function test_all_sessions_of_an_account_are_shown() public {
        openSession(1);
        openSession(2);
        SessionView[] memory seen = sessions.getSessionsByAddress(client);
        assertEq(seen.length, 2, "both");
        assertEq(seen[1].id, 2, "in their order");
        assertEq(seen[1].redundant, 2, "as they are");
        assertEq(sessions.getSessionsByAddress(relayer).length, 0, "none");
        assertEq(sessions.userSessions(client, 1), 2, "one of the list");
    }

    function test_the_nodes_at_work_are_shown_once_and_until_the_task_ends() public {
        uint256 sessionId = fundedSession(2);
        assertEq(sessions.getEphemeralNodes(sessionId).length, 0, "nobody works");
        relaySubmission(submission(sessionId, LANE));
        relaySubmission(submission(sessionId, LANE + 1));
        assertEq(sessions.getEphemeralNodes(sessionId).length, 0, "nobody yet");
        assign(sessionId, LANE, miners(2));
        assign(sessionId, LANE + 1, pair(1, 2));
        address[] memory nodes = sessions.getEphemeralNodes(sessionId);
        assertEq(nodes.length, 3, "each once");
        assertEq(nodes[0], miner(1), "those of the latest task first");
        assertEq(nodes[1], miner(2), "and");
        assertEq(nodes[2], miner(0), "then the others");
        assertEq(sessions.getSession(sessionId).ephemeralNodes.length, 3, "in the session's view as well");
        for (uint256 i; i < 2; ++i) {
            precommit(sessionId, LANE, i);
        }
        for (uint256 i; i < 2; ++i) {
            commit(sessionId, LANE, i);
        }
        assertEq(sessions.getEphemeralNodes(sessionId).length, 3, "not judged yet");
        judge(sessionId, LANE, 2, 10_000);
        nodes = sessions.getEphemeralNodes(sessionId);
        assertEq(nodes.length, 2, "those of the other task");
        assertEq(nodes[1], miner(2), "the second");
    }

    function test_a_sessions_own_nodes_are_shown_apart() public {
        uint256 sessionId = fundedSession(2);
        vm.prank(client);
        session.addDedicatedNode(sessionId, miner(1));
        relaySubmission(submission(sessionId, LANE));
        assign(sessionId, LANE, miners(2));
        address[] memory nodes = sessions.getEphemeralNodes(sessionId);
        assertEq(nodes.length, 1, "one is shared");
        assertEq(nodes[0], miner(0), "this");
        assertEq(sessions.getDedicatedNodeCount(sessionId), 1, "one is its own");
        assertEq(sessions.getDedicatedNodes(sessionId)[0], miner(1), "that");
        assertEq(sessions.nodeToSessionId(miner(1)), sessionId, "whose it is");
        assertTrue(sessions.isNodeInSessions(miner(1)), "is");
        assertTrue(!sessions.isNodeInSessions(miner(0)), "is not");
        assertEq(sessions.nodeIdToAddress(sessions.getNodeId(miner(1))), miner(1), "by its id");
        assertEq(sessions.nodeIdToAddress(sessions.getNodeId(miner(0))), address(0), "not on a list");
    }

    function test_of_a_long_list_of_tasks_the_latest_are_looked_at() public {
        uint256 sessionId = fundedSession(1);
        relaySubmission(submission(sessionId, LANE));
        assign(sessionId, LANE, miners(1));
        uint256 most = tasks.TASKS_LOOKED_AT();
        // In runs of two lanes: the owner's own tasks between the router's.
        for (uint256 i = 1; i < most; ++i) {
            if (i % 2 == 0) relaySubmission(submission(sessionId, LANE + i / 2));
            else submitDirect(sessionId);
        }
        assertEq(tasks.getMinersAtWork(sessionId).length, 1, "the first is still looked at");
        submitDirect(sessionId);
        assertEq(tasks.getMinersAtWork(sessionId).length, 0, "no more");
    }

    function test_of_a_session_that_is_not_there_nobody_works_for_it() public {
        assertEq(sessions.getEphemeralNodes(5).length, 0, "nobody");
        vm.expectRevert(abi.encodeWithSelector(SessionLedger.SessionNotFound.selector, 5));
        sessions.getMode(5);
    }

    // ---------------------------------------------------------------- the network

    function test_every_contract_says_its_version_and_who_administers_it() public view {
        address[4] memory all = [address(session), address(queue), address(payment), address(pool)];
        for (uint256 i; i < all.length; ++i) {
            assertEq(Versioned(all[i]).version(), 2, "version");
            assertEq(Versioned(all[i]).subversion(), 0, "subversion");
            assertEq(Versioned(all[i]).owner(), admin, "administrator");
        }
    }

    function test_the_contracts_name_each_other() public view {
        assertEq(sessions.getSessionQueueAddress(), address(queue), "queue");
        assertEq(sessions.getSessionPaymentAddress(), address(payment), "payment");
        assertEq(sessions.getNodePoolAddress(), address(pool), "pool");
        assertEq(tasks.getSessionPaymentAddress(), address(payment), "the queue's payment");
        assertEq(tasks.getNodePoolAddress(), address(pool), "the queue's pool");
    }

    function test_the_views_by_themselves_hold_nothing() public {
        openSession(1);
        SessionViews alone = session.views();
        assertEq(alone.getSessionCount(), 0, "no session");
        assertEq(sessions.getSessionCount(), 1, "Session has it");
    }

    // ---------------------------------------------------------------- words of this test

    function createOlder() private {
        vm.prank(client);
        session.create("s", "m", address(0), 1, 3, 2, 1, 0, false);
    }

    function createWith(uint256 model) private {
        vm.prank(client);
        session.create("s", "m", address(0), 1, 3, 1, 0, 0, false, 0, model, 300, 5);
    }

    function submitDirect(uint256 sessionId) private {
        vm.prank(client);
        session.submit(sessionId, 0, "What?", 1, "", llmParams(), "ref");
    }

    function pair(uint256 first, uint256 second) private pure returns (address[] memory both) {
        both = new address[](2);
        (both[0], both[1]) = (miner(first), miner(second));
    }
}
