// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Session} from "../src/session/Session.sol";
import {SessionLedger} from "../src/session/SessionLedger.sol";
import {SessionView} from "../src/session/SessionViews.sol";
import {SessionNodes} from "../src/session/SessionNodes.sol";
import {SessionPayment} from "../src/money/SessionPayment.sol";
import {SessionTasks} from "../src/session/SessionTasks.sol";
import {TaskFlow} from "../src/task/TaskFlow.sol";
import {TaskTerms} from "../src/task/TaskTerms.sol";
import {Submission, TaskDecoration} from "../src/task/TaskTypes.sol";
import {Network} from "./Network.sol";
import {Log} from "./Vm.sol";

/// @dev Sessions, their routers and lanes, their money, and the submission of tasks.
contract SessionTest is Network {
    address private second = address(0x71);

    function setUp() public {
        deployNetwork();
    }

    /// forge-config: default.isolate = true
    function test_a_change_costs_the_same_in_the_block_of_the_last_one_as_later() public {
        uint256 sessionId = openSession(3);
        vm.warp(START + 10);
        vm.startPrank(client);
        session.update("a", "m", sessionId, 1, 3, 3, 1, 0);
        uint256 soon = gasOfUpdate(sessionId, "b");
        vm.warp(START + 20);
        assertEq(gasOfUpdate(sessionId, "c"), soon, "gas");
    }

    /// forge-config: default.isolate = true
    function test_a_gas_limit_that_is_enough_in_the_block_of_the_creation_is_enough_later() public {
        for (uint256 id = 1; id <= 5; id++) openSession(3);
        leastGas(abi.encodeCall(session.deactivateSession, (1))); // what the first of such calls alone pays
        uint256 toClose = leastGas(abi.encodeCall(session.deactivateSession, (2)));
        uint256 toUpdate = leastGas(abi.encodeCall(session.update, ("a", "m", 3, 1, 3, 3, 1, 0)));
        vm.warp(START + 20);
        assertEq(leastGas(abi.encodeCall(session.deactivateSession, (4))), toClose, "to close");
        assertEq(leastGas(abi.encodeCall(session.update, ("a", "m", 5, 1, 3, 3, 1, 0))), toUpdate, "to update");
    }

    /// @dev A node estimates like this, and a client without a margin sends with just that much.
    function leastGas(bytes memory call) private returns (uint256 gas) {
        bool done;
        for (gas = 10_000; !done; gas += 20) {
            vm.prank(client);
            (done,) = address(session).call{gas: gas}(call);
        }
    }

    function gasOfUpdate(uint256 sessionId, string memory name) private returns (uint256 gas) {
        gas = gasleft();
        session.update(name, "m", sessionId, 1, 3, 3, 1, 0);
        return gas - gasleft();
    }

    function test_a_session_says_what_it_was_made_with() public {
        vm.prank(client);
        session.create("name", "meta", address(0), 2, 5, 3, 1, 0, false, 9, MODEL, 60, 1000);
        SessionView memory seen = sessions.getSession(1);
        assertEq(seen.name, "name", "name");
        assertEq(seen.owner, client, "the sender owns it");
        assertEq(seen.redundant, 3, "redundancy");
        assertEq(seen.maxNumOfNodes, 5, "most nodes");
        assertEq(seen.maxTaskExecutionCount, 1000, "limit");
        assertEq(seen.routerAddresses[0], router, "default router");
        assertEq(seen.sid, keccak256(abi.encode(block.chainid, address(session), client, 0)), "sid");
        assertEq(sessions.getLatestSessionId(client), 1, "latest");
        assertTrue(!session.doesSessionExist(0) && session.doesSessionExist(1), "numbers run from 1");
    }

    function test_create_refuses_what_cannot_be_served() public {
        vm.expectRevert(outOfRange("redundant", 17, 16));
        session.create("", "", client, 1, 1, 17, 0, 0, false, 0, MODEL, 0, 0);
        vm.expectRevert(outOfRange("minNumOfNodes", 2, 1));
        session.create("", "", client, 2, 1, 1, 0, 0, false, 0, MODEL, 0, 0);
        vm.expectRevert(outOfRange("mode", 3, 2));
        session.create("", "", client, 1, 1, 1, 0, 3, false, 0, MODEL, 0, 0);
        vm.expectRevert(outOfRange("maxTaskExecutionCount", 1_000_001, 1_000_000));
        session.create("", "", client, 1, 1, 1, 0, 0, false, 0, MODEL, 0, 1_000_001);
        vm.expectRevert(abi.encodeWithSelector(Session.ModelWithoutPrice.selector, 2));
        session.create("", "", client, 1, 1, 1, 0, 0, false, 0, 2, 0, 0);
    }

    function test_only_the_owner_changes_submits_and_withdraws() public {
        uint256 sessionId = fundedSession(1);
        bytes memory notOwner = abi.encodeWithSelector(SessionNodes.NotSessionOwner.selector, sessionId, relayer);
        vm.startPrank(relayer);
        vm.expectRevert(notOwner);
        session.update("", "", sessionId, 1, 1, 1, 0, 0);
        vm.expectRevert(notOwner);
        session.addRouter(sessionId, relayer, "");
        vm.expectRevert(notOwner);
        session.deactivateSession(sessionId);
        vm.expectRevert(notOwner);
        session.submit(sessionId, 0, "x", 1, "", llmParams(), requestParams(), "");
        vm.expectRevert(abi.encodeWithSelector(SessionPayment.NotSessionOwner.selector, sessionId, relayer));
        payment.withdrawFromSession(sessionId, 1);
        vm.stopPrank();
    }

    function test_a_new_owner_gets_the_session_and_its_balance() public {
        uint256 sessionId = fundedSession(1);
        vm.startPrank(client);
        session.updateOwner(sessionId, second);
        vm.stopPrank();
        assertEq(sessions.getSessionCountByAddress(client), 0, "the old one's list");
        assertEq(sessions.getSessionIds(second)[0], sessionId, "the new one's list");
        vm.prank(second);
        payment.withdrawFromSession(sessionId, 5);
        assertEq(token.balanceOf(second), 5, "withdrawn");
        assertSolvent();
    }

    function test_a_closed_session_takes_no_tasks_and_gives_its_money_back() public {
        uint256 sessionId = fundedSession(1);
        vm.startPrank(client);
        session.deactivateSession(sessionId);
        vm.expectRevert(abi.encodeWithSelector(SessionNodes.SessionInactive.selector, sessionId));
        session.submit(sessionId, 0, "x", 1, "", llmParams(), requestParams(), "");
        payment.withdrawFromSession(sessionId, 1e9);
        vm.stopPrank();
        assertEq(token.balanceOf(client), 1e9, "withdrawn");
        assertEq(sessions.getActiveSessionsByAddress(client).length, 0, "not among the active");
        assertSolvent();
    }

    // ---------------------------------------------------------------- routers and lanes

    function test_a_removed_router_keeps_its_lane_and_gets_it_back() public {
        uint256 sessionId = fundedSession(1);
        vm.startPrank(client);
        session.addRouter(sessionId, second, "two");
        session.removeRouter(sessionId, router);
        assertEq(sessions.getRouterIndex(sessionId, router), -1, "off the list");
        assertEq(sessions.getRouterIndex(sessionId, second), 1, "the other's index stays");
        assertEq(sessions.getRouterCount(sessionId), 2, "indices ever given");
        assertEq(sessions.getLatestRouterInfo(sessionId), "two", "latest");
        session.addRouter(sessionId, router, "back");
        vm.stopPrank();
        assertEq(sessions.getRouterIndex(sessionId, router), 0, "its old index");
        assertEq(sessions.getRouterInfo(sessionId, router), "back", "new metadata");
    }

    function test_a_router_submits_in_its_own_lane_only() public {
        uint256 sessionId = fundedSession(1);
        assertEq(skippedReason(submission(sessionId, 0)).length, 68, "the owner's numbers");
        bytes memory reason = skippedReason(submission(sessionId, 2 * LANE));
        assertEq(reason, abi.encodeWithSelector(SessionTasks.OutsideLane.selector, 2 * LANE, LANE));
        assertEq(skippedReason(submission(sessionId, LANE + 5)).length, 0, "its own");
        reason = skippedReason(submission(sessionId, LANE + 5));
        assertEq(reason, abi.encodePacked(TaskFlow.AlreadyDone.selector));
        Submission memory other = submission(sessionId, LANE + 5);
        other.clientReference = "another";
        assertEq(skippedReason(other), abi.encodePacked(TaskFlow.TaskIdTaken.selector));
    }

    /// @dev A batch looks a lane up where the session changes, and must not take one session's for another's.
    function test_each_session_of_a_batch_has_its_own_list_and_lanes() public {
        uint256 first = fundedSession(1);
        uint256 closed = fundedSession(1);
        uint256 third = fundedSession(1);
        vm.startPrank(client);
        session.resetAllRouters(closed);
        session.resetAllRouters(third);
        session.addRouter(third, second, "");
        vm.stopPrank();
        Submission[] memory items = new Submission[](6);
        items[0] = submission(0, LANE);
        items[1] = submission(first, LANE);
        items[2] = submission(closed, LANE);
        items[3] = submission(first, LANE + 1);
        items[4] = submission(third, LANE);
        items[5] = submission(third, 2 * LANE);
        assertEq(skippedBy(router, items), 1 | (1 << 2) | (1 << 4) | (1 << 5), "by the router of the first alone");
        items[1].taskId = LANE + 2;
        items[3].taskId = 2 * LANE;
        assertEq(skippedBy(second, items), 31, "by the third's second router: its own lane there alone");
    }

    function test_a_router_off_the_list_spends_nothing() public {
        uint256 sessionId = fundedSession(1);
        vm.prank(client);
        session.resetAllRouters(sessionId);
        bytes memory reason = skippedReason(submission(sessionId, LANE));
        assertEq(reason, abi.encodeWithSelector(SessionLedger.NotRouter.selector, sessionId, router));
        assertEq(payment.sessionBalance(sessionId), 1e9, "untouched");
    }

    function test_a_poor_session_is_skipped_and_the_rest_of_the_batch_goes_on() public {
        uint256 poor = openSession(1);
        uint256 rich = fundedSession(1);
        Submission[] memory items = new Submission[](2);
        items[0] = submission(poor, LANE);
        items[1] = submission(rich, LANE);
        vm.prank(router);
        session.relaySubmissions(items);
        assertEq(tasks.getTaskCountBySessionId(poor), 0, "no money, no task");
        assertEq(tasks.getTaskCountBySessionId(rich), 1, "the other one");
        assertSolvent();
    }

    function test_a_session_runs_no_more_tasks_than_its_limit() public {
        vm.prank(client);
        session.create("", "", address(0), 1, 1, 1, 0, 0, false, 0, MODEL, 0, 1);
        fund(1, 1e9);
        assertEq(skippedReason(submission(1, LANE)).length, 0, "the first");
        bytes memory reason = skippedReason(submission(1, LANE + 1));
        assertEq(reason, abi.encodeWithSelector(SessionTasks.TaskLimitReached.selector, 1, 1));
    }

    function test_submission_refuses_what_cannot_be_kept() public {
        uint256 sessionId = fundedSession(1);
        Submission memory item = submission(sessionId, LANE);
        item.taskData = "";
        assertEq(skippedReason(item), abi.encodePacked(SessionTasks.EmptyTaskData.selector));
        item = submission(sessionId, LANE);
        item.llmParams[0] = 0;
        assertEq(skippedReason(item), abi.encodePacked(SessionTasks.MaxTokensMissing.selector));
        item.llmParams[0] = 1;
        item.llmParams[3] = 1 << 24;
        assertEq(skippedReason(item), outOfRange("llmParams", 1 << 24, (1 << 24) - 1));
        item.llmParams[3] = 0;
        item.taskData = string(new bytes(16 * 1024 + 1));
        assertEq(skippedReason(item), outOfRange("taskData", 16 * 1024 + 1, 16 * 1024));
    }

    function test_each_parameter_has_its_room_and_no_more() public {
        uint256 sessionId = fundedSession(1);
        for (uint256 i; i < 6; ++i) {
            uint256 most = (1 << (i == 0 || i == 3 ? 24 : 16)) - 1;
            Submission memory item = submission(sessionId, LANE + i);
            item.llmParams[i] = most + 1;
            assertEq(skippedReason(item), outOfRange("llmParams", most + 1, most));
            item.llmParams[i] = most;
            assertEq(skippedReason(item).length, 0, "the largest");
            assertEq(parameterOf(sessionId, LANE + i, i), most, "as it was said");
        }
        Submission memory bad = submission(sessionId, LANE + 6);
        (bad.llmParams[1], bad.llmParams[4]) = (1 << 20, 1 << 21);
        assertEq(skippedReason(bad), outOfRange("llmParams", 1 << 20, (1 << 16) - 1));
    }

    // ---------------------------------------------------------------- money

    function testFuzz_deposits_and_withdrawals_add_up(uint256 deposit, uint256 withdrawal) public {
        uint256 sessionId = openSession(1);
        deposit = bound(deposit, 1, 1e27);
        fund(sessionId, deposit);
        withdrawal = bound(withdrawal, 1, deposit);
        vm.prank(client);
        payment.withdrawFromSession(sessionId, withdrawal);
        assertEq(payment.sessionBalance(sessionId), deposit - withdrawal, "balance");
        assertEq(token.balanceOf(client), withdrawal, "tokens");
        assertSolvent();
    }

    function test_reserved_money_cannot_be_withdrawn() public {
        uint256 sessionId = fundedSession(1);
        relaySubmission(submission(sessionId, LANE));
        uint256 free = 1e9 - worstCase(1, MAX_INPUT_TOKENS);
        vm.expectRevert(
            abi.encodeWithSelector(SessionPayment.InsufficientSessionBalance.selector, sessionId, free + 1, free)
        );
        vm.prank(client);
        payment.withdrawFromSession(sessionId, free + 1);
    }

    function test_a_deposit_by_permit_needs_no_approval_and_survives_a_front_run() public {
        uint256 sessionId = openSession(1);
        uint256 key = 0xfeed;
        address payer = vm.addr(key);
        vm.prank(treasury);
        token.transfer(payer, 10);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, permitHash(payer, 10));
        token.permit(payer, address(payment), 10, START + 1, v, r, s);
        vm.prank(payer);
        payment.depositToSessionWithPermit(sessionId, 10, START + 1, v, r, s);
        assertEq(payment.sessionBalance(sessionId), 10, "credited");
    }

    function test_no_deposit_into_a_session_that_is_not_there() public {
        vm.expectRevert(abi.encodeWithSelector(SessionPayment.SessionNotFound.selector, 9));
        payment.depositToSession(9, 1);
    }

    function test_wiring_and_prices_are_the_administrators_and_wiring_is_done_once() public {
        bytes4 missing = bytes4(keccak256("MissingRole(address,bytes32)"));
        vm.expectPartialRevert(missing);
        payment.setModelPrice(MODEL, 1, 1);
        vm.expectPartialRevert(missing);
        session.setDefaultRouter(relayer, "");
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(SessionPayment.SessionAlreadySet.selector, address(session)));
        payment.setSession(session);
        vm.stopPrank();
    }

    // ---------------------------------------------------------------- words of this test

    /// @return places of the elements that were skipped, a bit each
    function skippedBy(address sender, Submission[] memory items) private returns (uint256 places) {
        vm.recordLogs();
        vm.prank(sender);
        session.relaySubmissions(items);
        Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i; i < logs.length; ++i) {
            if (logs[i].topics[0] != keccak256("RelaySkipped(bytes32,uint256,bytes)")) continue;
            (uint256 place,) = abi.decode(logs[i].data, (uint256, bytes));
            places |= 1 << place;
        }
    }

    function parameterOf(uint256 sessionId, uint256 taskId, uint256 i) private view returns (uint256) {
        TaskDecoration memory seen = tasks.getTaskDecoration(sessionId, taskId);
        if (i < 3) return i == 0 ? seen.maxTokens : i == 1 ? seen.temperature : seen.topP;
        return i == 3 ? seen.topK : i == 4 ? seen.presencePenalty : seen.frequencyPenalty;
    }

    function skippedReason(Submission memory item) private returns (bytes memory reason) {
        vm.recordLogs();
        relaySubmission(item);
        Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i; i < logs.length; ++i) {
            if (logs[i].topics[0] != keccak256("RelaySkipped(bytes32,uint256,bytes)")) continue;
            (, reason) = abi.decode(logs[i].data, (uint256, bytes));
        }
    }

    function permitHash(address payer, uint256 amount) private view returns (bytes32) {
        bytes32 typeHash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 structHash = keccak256(abi.encode(typeHash, payer, address(payment), amount, 0, START + 1));
        return keccak256(abi.encodePacked("\x19\x01", token.DOMAIN_SEPARATOR(), structHash));
    }

    function outOfRange(bytes32 field, uint256 value, uint256 most) private pure returns (bytes memory) {
        return abi.encodeWithSelector(TaskTerms.OutOfRange.selector, field, value, most);
    }

    function assertEq(bytes memory seen, bytes memory expected) private pure {
        assertEq(keccak256(seen), keccak256(expected), "reason");
    }
}
