// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {NodePool, NodeState} from "../src/node/NodePool.sol";
import {RoleGuarded} from "../src/common/Roles.sol";
import {TaskFlow} from "../src/task/TaskFlow.sol";
import {TaskStatus} from "../src/task/TaskTypes.sol";
import {Network} from "./Network.sol";

/// @dev Nodes: their stake, what it is lost for, what they serve, how they leave.
contract NodesTest is Network {
    uint256 private constant STAKE = 1_000;

    address private operator = address(0x0b);

    function setUp() public {
        deployNetwork();
    }

    // ---------------------------------------------------------------- stake

    function test_stake_is_given_by_anyone_and_taken_back_by_the_operator_after_the_delay() public {
        stakeFor(miner(0), STAKE);
        NodePool.NodeView memory seen = pool.getNode(miner(0));
        assertEq(seen.operator, miner(0), "operates itself");
        vm.startPrank(miner(0));
        pool.unbond(miner(0), 400);
        (uint256 staked, uint256 unbonding, uint256 releaseAt) = pool.stakeOf(miner(0));
        assertEq(staked, 600, "staked");
        assertEq(unbonding, 400, "unbonding");
        assertEq(releaseAt, START + 7 days, "release");
        vm.warp(releaseAt - 1);
        vm.expectRevert(abi.encodeWithSelector(NodePool.StillBonded.selector, miner(0), releaseAt));
        pool.withdrawStake(miner(0));
        vm.warp(releaseAt);
        pool.withdrawStake(miner(0));
        assertEq(token.balanceOf(miner(0)), 400, "withdrawn");
        vm.expectRevert(NodePool.ZeroAmount.selector);
        pool.withdrawStake(miner(0));
        vm.stopPrank();
        assertPoolSolvent();
    }

    function test_unbonding_again_begins_the_delay_anew() public {
        stakeFor(miner(0), STAKE);
        vm.startPrank(miner(0));
        pool.unbond(miner(0), 1);
        vm.warp(START + 6 days);
        pool.unbond(miner(0), 2);
        (, uint256 unbonding, uint256 releaseAt) = pool.stakeOf(miner(0));
        assertEq(unbonding, 3, "both");
        assertEq(releaseAt, START + 13 days, "anew");
        vm.stopPrank();
    }

    function test_nobody_but_the_operator_disposes_of_a_node() public {
        stakeFor(miner(0), STAKE);
        bytes memory refusal = abi.encodeWithSelector(NodePool.NotOperator.selector, miner(0), relayer);
        vm.startPrank(relayer);
        vm.expectRevert(refusal);
        pool.unbond(miner(0), 1);
        vm.expectRevert(refusal);
        pool.withdrawStake(miner(0));
        vm.expectRevert(refusal);
        pool.retire(miner(0));
        vm.expectRevert(refusal);
        pool.setModels(miner(0), new uint256[](0));
        vm.stopPrank();
    }

    function test_stake_refuses_strangers_nothing_and_too_much() public {
        vm.expectRevert(abi.encodeWithSelector(NodePool.NotRegistered.selector, operator));
        pool.stake(operator, 1);
        vm.expectRevert(NodePool.ZeroAmount.selector);
        pool.stake(miner(0), 0);
        vm.startPrank(miner(0));
        vm.expectRevert(NodePool.ZeroAmount.selector);
        pool.unbond(miner(0), 0);
        vm.expectRevert(abi.encodeWithSelector(NodePool.InsufficientStake.selector, miner(0), 1, 0));
        pool.unbond(miner(0), 1);
        vm.stopPrank();
    }

    function test_below_the_minimum_a_node_gets_no_task() public {
        vm.expectPartialRevert(RoleGuarded.MissingRole.selector);
        pool.setMinimumStake(1);
        vm.prank(admin);
        pool.setMinimumStake(STAKE);
        stakeFor(miner(0), STAKE);
        stakeFor(miner(1), STAKE - 1);
        assertTrue(pool.isEligible(miner(0)), "enough");
        assertTrue(!pool.isEligible(miner(1)), "too little");
        vm.prank(miner(0));
        pool.unbond(miner(0), 1);
        assertTrue(!pool.isEligible(miner(0)), "what is unbonding does not count");
    }

    // ---------------------------------------------------------------- slashing

    function test_who_precommits_and_does_not_reveal_loses_stake_unbonding_or_not() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(2);
        stakeFor(miner(0), STAKE);
        stakeFor(miner(1), STAKE);
        vm.prank(miner(1));
        pool.unbond(miner(1), 500);
        precommit(sessionId, taskId, 0);
        precommit(sessionId, taskId, 1);
        commit(sessionId, taskId, 0);
        vm.warp(block.timestamp + STAGE_WINDOW + 1);
        tasks.endCommit(sessionId, taskId, true);
        (uint256 staked, uint256 unbonding,) = pool.stakeOf(miner(1));
        assertEq(staked, 450, "a tenth of what is staked");
        assertEq(unbonding, 450, "and of what is unbonding");
        (staked,,) = pool.stakeOf(miner(0));
        assertEq(staked, STAKE, "who revealed keeps all");
        assertEq(pool.slashed(), 100, "slashed");
        assertPoolSolvent();

        vm.expectPartialRevert(RoleGuarded.MissingRole.selector);
        pool.collectSlashed(relayer);
        vm.startPrank(admin);
        pool.collectSlashed(treasury);
        vm.expectRevert(NodePool.ZeroAmount.selector);
        pool.collectSlashed(treasury);
        vm.stopPrank();
        assertPoolSolvent();
    }

    function test_silence_of_all_ends_the_task_and_a_node_without_stake_does_not_stop_that() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(2);
        precommit(sessionId, taskId, 0);
        precommit(sessionId, taskId, 1);
        vm.warp(block.timestamp + STAGE_WINDOW + 1);
        tasks.endCommit(sessionId, taskId, false);
        assertEq(tasks.getTaskStatus(sessionId, taskId), uint256(TaskStatus.Ended), "ended");
        assertEq(payment.sessionBalance(sessionId), 1e9, "refunded");
        assertEq(pool.slashed(), 0, "nothing to slash");
    }

    // ---------------------------------------------------------------- a node's life

    function test_a_retired_node_gets_no_tasks_until_an_oracle_brings_it_back() public {
        vm.prank(miner(0));
        pool.retire(miner(0));
        assertTrue(!pool.isEligible(miner(0)), "retired");
        vm.startPrank(oracle);
        address[] memory both = miners(2);
        pool.setNodeStates(both, NodeState.Dedicated);
        assertTrue(pool.isEligible(miner(0)), "back");
        vm.expectRevert(abi.encodeWithSelector(NodePool.StateNotAllowed.selector, NodeState.Unknown));
        pool.setNodeState(miner(0), NodeState.Unknown);
        vm.expectRevert(abi.encodeWithSelector(NodePool.NotRegistered.selector, operator));
        pool.setNodeState(operator, NodeState.Active);
        vm.stopPrank();
    }

    function test_a_node_serves_what_it_says_or_all_when_it_says_nothing() public {
        uint256[] memory models = new uint256[](1);
        models[0] = 7;
        assertTrue(pool.serves(miner(0), MODEL), "says nothing");
        vm.startPrank(miner(0));
        pool.setModels(miner(0), models);
        assertTrue(pool.serves(miner(0), 7) && !pool.serves(miner(0), MODEL), "says");
        assertEq(pool.modelsOf(miner(0))[0], 7, "models");
        vm.expectRevert(abi.encodeWithSelector(NodePool.TooManyModels.selector, 65, 64));
        pool.setModels(miner(0), new uint256[](65));
        vm.stopPrank();
        uint256 sessionId = fundedSession(1);
        relaySubmission(submission(sessionId, LANE));
        vm.prank(router);
        vm.expectRevert(abi.encodeWithSelector(TaskFlow.NotEligible.selector, miner(0)));
        queue.assignTask(sessionId, LANE, miners(1), MODEL);
    }

    function test_an_operator_has_its_nodes() public view {
        assertEq(pool.getNodesOf(miner(2))[0], miner(2), "its own operator");
        assertEq(pool.getNodesOf(operator).length, 0, "none");
        assertEq(pool.getNodeCount(), 5, "count");
        assertEq(pool.getNodes(9, 1).length, 0, "beyond the end");
        assertEq(pool.drawn(bytes32(uint256(1)), 0), pool.drawn(bytes32(uint256(1)), 0), "a draw is fixed");
    }

    // ---------------------------------------------------------------- words of this test

    function stakeFor(address node, uint256 amount) private {
        vm.startPrank(treasury);
        token.approve(address(pool), amount);
        pool.stake(node, amount);
        vm.stopPrank();
    }

    function assertPoolSolvent() private view {
        uint256 held = pool.totalStaked() + pool.totalUnbonding() + pool.slashed();
        assertEq(token.balanceOf(address(pool)), held, "tokens = staked + unbonding + slashed");
    }
}
