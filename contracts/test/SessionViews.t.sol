// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {SessionLedger} from "../src/session/SessionLedger.sol";
import {SessionView} from "../src/session/SessionViews.sol";
import {Network} from "./Network.sol";

/// @dev What clients read about sessions and routers, and that changes show in it.
contract SessionViewsTest is Network {
    address private second = address(0x71);
    address private stranger = address(0x57);

    function setUp() public {
        deployNetwork();
    }

    // ---------------------------------------------------------------- an account's sessions

    function test_all_lists_of_an_accounts_sessions_agree() public {
        openSession(1);
        openSession(2);
        assertEq(sessions.getSessionIds(client).length, 2, "ids");
        assertEq(sessions.getSessionsIdsByAddress(client)[1], 2, "ids by their other name");
        assertEq(sessions.getUserSessions(client)[0], 1, "and by their third");
        assertEq(sessions.getLatestSessionId(stranger), 0, "a stranger has none");
        assertEq(session.ownerOf(2), client, "owner");
        assertEq(session.modelOf(2), MODEL, "model");
        (uint256[] memory ids, string[] memory names, string[] memory metadatas, uint256[] memory modes) =
            sessions.getSessionIdAndNameAndMetadataByAddress(client);
        assertEq(ids[1], 2, "id");
        assertEq(names[1], "s", "name");
        assertEq(metadatas[1], "m", "metadata");
        assertEq(modes[1], 0, "mode");
    }

    function test_a_page_of_sessions_is_short_at_the_end_and_empty_behind_it() public {
        for (uint256 i; i < 3; ++i) {
            openSession(1);
        }
        SessionView[] memory page = sessions.getSessionsByAddressByPage(client, 1, 1);
        assertEq(page.length, 1, "as many as were asked for");
        assertEq(page[0].id, 2, "from the offset on");
        assertEq(sessions.getSessionsByAddressByPage(client, 2, 9).length, 1, "short at the end");
        assertEq(sessions.getSessionsByAddressByPage(client, 3, 9).length, 0, "empty behind it");
    }

    function test_only_open_sessions_are_active() public {
        openSession(1);
        openSession(1);
        vm.prank(client);
        session.deactivateSession(1);
        SessionView[] memory active = sessions.getActiveSessionsByAddress(client);
        assertEq(active.length, 1, "one is closed");
        assertEq(active[0].id, 2, "the other one");
        assertEq(sessions.getSession(1).state, 1, "state");
    }

    function test_what_is_not_there_is_not_found() public {
        vm.expectRevert(abi.encodeWithSelector(SessionLedger.SessionNotFound.selector, 1));
        sessions.getSession(1);
        vm.expectRevert(abi.encodeWithSelector(SessionLedger.SessionNotFound.selector, 0));
        session.ownerOf(0);
    }

    function test_an_update_changes_the_terms_and_leaves_the_rest() public {
        vm.prank(client);
        session.create("s", "m", address(0), 1, 3, 1, 1, 0, true, 7, MODEL, 60, 5);
        vm.warp(START + 9);
        vm.prank(client);
        session.update("new", "meta", 1, 2, 4, 0, 3, 2);
        SessionView memory seen = sessions.getSession(1);
        assertEq(seen.name, "new", "name");
        assertEq(seen.metadata, "meta", "metadata");
        assertEq(seen.minNumOfNodes, 2, "fewest nodes");
        assertEq(seen.maxNumOfNodes, 4, "most nodes");
        assertEq(seen.redundant, 1, "a redundancy of nothing is one");
        assertEq(seen.numOfValidatorNodes, 3, "validators");
        assertEq(seen.mode, 2, "mode");
        assertEq(seen.updatedAt, START + 9, "updated");
        assertEq(seen.createdAt, START, "created");
        assertEq(seen.sla, 7, "what belongs to its birth stays");
        assertEq(seen.reservePeriod, 60, "reserve period");
        assertEq(seen.maxTaskExecutionCount, 5, "limit");
        assertEq(seen.modelIdentifier, MODEL, "model");
    }

    function test_a_session_passed_on_leaves_the_others_in_their_order() public {
        for (uint256 i; i < 3; ++i) {
            openSession(1);
        }
        vm.prank(client);
        session.updateOwner(1, second);
        uint256[] memory left = sessions.getSessionIds(client);
        assertEq(left[0], 2, "moved up");
        assertEq(left[1], 3, "in order");
        assertEq(sessions.getLatestSessionId(second), 1, "the new owner's");
    }

    function test_each_creator_has_its_own_numbers() public {
        openSession(1);
        assertEq(session.creatorNonces(client), 1, "one made");
        assertEq(session.creatorNonces(stranger), 0, "none");
    }

    // ---------------------------------------------------------------- routers

    function test_views_of_routers_follow_the_list() public {
        uint256 sessionId = openSession(1);
        assertEq(session.defaultRouter(), router, "default");
        assertEq(session.defaultRouterMetadata(), "router", "its metadata");
        vm.startPrank(client);
        session.addRouter(sessionId, second, "two");
        assertEq(sessions.getRouterAddress(sessionId, 1), second, "by index");
        assertEq(sessions.getRouterAddressToIndex(sessionId, second), 1, "by address");
        assertEq(sessions.getLatestRouterAddress(sessionId), second, "latest");
        assertEq(sessions.getLatestRouterIndex(sessionId), 1, "its index");
        assertTrue(sessions.getRouterInfoExists(sessionId, "two"), "by metadata");
        session.updateRouter(sessionId, second, "deux");
        assertEq(sessions.getRouterInfo(sessionId, second), "deux", "updated");
        assertTrue(!sessions.getRouterInfoExists(sessionId, "two"), "the old metadata is gone");
        assertEq(sessions.getRouterMetadatasByAddress(client)[0], "deux", "the latest of each session");
        uint256[] memory ids = new uint256[](1);
        ids[0] = sessionId;
        assertEq(sessions.getRouterMetadatasBySessionIds(ids)[0], "deux", "the same by number");

        session.resetAllRouters(sessionId);
        vm.stopPrank();
        assertEq(sessions.getRouterAddress(sessionId, 1), address(0), "removed");
        assertEq(sessions.getRouterAddress(sessionId, 9), address(0), "never was");
        assertEq(sessions.getLatestRouterAddress(sessionId), address(0), "none");
        assertEq(sessions.getLatestRouterInfo(sessionId), "", "none");
        assertEq(sessions.getSession(sessionId).routerAddresses.length, 0, "none");
        vm.expectRevert(abi.encodeWithSelector(SessionLedger.NotRouter.selector, sessionId, address(0)));
        sessions.getLatestRouterIndex(sessionId);
        vm.expectRevert(abi.encodeWithSelector(SessionLedger.NotRouter.selector, sessionId, second));
        sessions.getRouterInfo(sessionId, second);
    }

    function test_without_a_default_router_a_session_begins_with_none() public {
        vm.prank(admin);
        session.setDefaultRouter(address(0), "");
        uint256 sessionId = openSession(1);
        assertEq(sessions.getRouterCount(sessionId), 0, "none");
        assertEq(sessions.getSession(sessionId).routerAddresses.length, 0, "none");
    }

    function test_the_network_knows_its_oracle_its_modules_and_its_nodes_names() public view {
        assertTrue(sessions.isOracleNode(oracle) && !sessions.isOracleNode(client), "session");
        assertTrue(tasks.isOracleNode(oracle) && !tasks.isOracleNode(client), "queue");
        assertTrue(tasks.isPrimaryModule(address(queue)) && !tasks.isPrimaryModule(client), "module");
        bytes32 id = keccak256(abi.encodePacked(client));
        assertEq(sessions.getNodeId(client), id, "a node's name in the session");
        assertEq(tasks.getNodeId(client), id, "and in the queue");
    }

    function test_contracts_know_each_other() public view {
        assertEq(address(session.queue()), address(queue), "session: queue");
        assertEq(address(session.payment()), address(payment), "session: payment");
        assertEq(address(session.pool()), address(pool), "session: pool");
        assertEq(address(session.roles()), address(roles), "session: roles");
        assertEq(address(payment.session()), address(session), "payment: session");
        assertEq(address(payment.token()), address(token), "payment: token");
        assertEq(address(pool.token()), address(token), "pool: token");
        assertTrue(address(queue.overdue()) != address(0), "queue: its other half");
        assertEq(address(queue.overdue().pool()), address(pool), "the other half: pool");
    }

    function test_prices_are_told_for_served_models_only() public view {
        (uint256 inputPrice, uint256 outputPrice) = payment.modelPrice(MODEL);
        assertEq(inputPrice, INPUT_PRICE, "input");
        assertEq(outputPrice, OUTPUT_PRICE, "output");
        (inputPrice, outputPrice) = payment.modelPrice(77);
        assertEq(inputPrice + outputPrice, 0, "not served");
        assertEq(payment.worstCaseOf(1, 3, MAX_INPUT_TOKENS, MAX_TOKENS), worstCase(3, MAX_INPUT_TOKENS), "worst");
    }
}
