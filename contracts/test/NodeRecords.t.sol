// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {NodeReputation} from "../src/node/NodeReputation.sol";
import {NODE_STAGES, NodeStage, Outcome, bitOf} from "../src/node/NodeOutcomes.sol";
import {NodeStats} from "../src/node/NodeStats.sol";
import {RoleGuarded} from "../src/common/Roles.sol";
import {IdleNetwork} from "./IdleNetwork.sol";

interface StorageVm {
    function store(address account, bytes32 slot, bytes32 value) external;
}

/// @dev This test is a module, so that it can write what nodes did.
contract NodeRecordsTest is IdleNetwork {
    address private node = address(0xbeef);

    function setUp() public {
        deployIdleNetwork();
        bytes32 module = roles.MODULE_ROLE();
        vm.prank(admin);
        roles.grantRole(module, address(this));
    }

    function test_only_modules_write() public {
        vm.startPrank(relayer);
        vm.expectPartialRevert(RoleGuarded.MissingRole.selector);
        stats.record(new Outcome[](0));
        vm.expectPartialRevert(RoleGuarded.MissingRole.selector);
        stats.recordTask(node, true);
        vm.expectPartialRevert(RoleGuarded.MissingRole.selector);
        reputation.record(new Outcome[](0));
        vm.expectPartialRevert(RoleGuarded.MissingRole.selector);
        reputation.recordTask(node, true);
        vm.stopPrank();
    }

    // ---------------------------------------------------------------- NodeStats

    function test_counters_are_kept_by_stage() public {
        stats.record(one(bitOf(NodeStage.Create) | bitOf(NodeStage.Ping), bitOf(NodeStage.Commit), 3));
        stats.record(one(bitOf(NodeStage.Ping), 0, 0));
        stats.recordTask(node, true);
        stats.recordTask(node, false);
        stats.recordTask(node, false);
        (uint256[10] memory passed, uint256[10] memory failed) = stats.countersOf(node);
        assertEq(passed[uint256(NodeStage.Create)], 1, "create");
        assertEq(passed[uint256(NodeStage.Ping)], 2, "ping");
        assertEq(failed[uint256(NodeStage.Commit)], 1, "commit");
        assertEq(passed[uint256(NodeStage.Task)], 1, "tasks done");
        assertEq(failed[uint256(NodeStage.Task)], 2, "tasks failed");
        assertEq(passed[uint256(NodeStage.End)] + failed[uint256(NodeStage.Create)], 0, "nothing else");
    }

    function test_a_full_counter_stays_full() public {
        uint256 full = stats.COUNTER_CAP();
        bytes32 slot = keccak256(abi.encode(node, 0));
        StorageVm(address(vm)).store(address(stats), slot, bytes32(full << (25 * uint256(NodeStage.Task))));
        stats.recordTask(node, true);
        (uint256[10] memory passed,) = stats.countersOf(node);
        assertEq(passed[uint256(NodeStage.Task)], full, "full");
        assertEq(passed[uint256(NodeStage.Ping)], 0, "its neighbour is untouched");
    }

    function test_the_series_remembers_the_last_sixteen() public {
        assertEq(stats.seriesOf(node).length, 0, "none");
        for (uint256 i; i < 20; ++i) {
            tick(1);
            stats.record(one(bitOf(NodeStage.Commit), 0, uint16(i)));
        }
        NodeStats.Success[] memory series = stats.seriesOf(node);
        assertEq(series.length, 16, "sixteen");
        for (uint256 i; i < 16; ++i) {
            assertEq(series[i].elapsed, 19 - i, "the latest first");
            assertEq(series[i].time, time - i, "time");
            assertEq(series[i].stages, bitOf(NodeStage.Commit), "stages");
        }
    }

    function test_a_failure_is_no_success() public {
        stats.record(one(0, bitOf(NodeStage.Commit), 3));
        assertEq(stats.seriesOf(node).length, 0, "no success");
    }

    /// @dev Against a plain model, with any outcomes in any order; bits beyond the stages count nowhere.
    function testFuzz_counters_agree_with_a_plain_count(uint16[24] calldata passes, uint16[24] calldata failures)
        public
    {
        uint256[NODE_STAGES] memory passed;
        uint256[NODE_STAGES] memory failed;
        Outcome[] memory outcomes = new Outcome[](24);
        for (uint256 i; i < 24; ++i) {
            outcomes[i] = Outcome(node, passes[i], failures[i], uint16(i));
            for (uint256 stage; stage < NODE_STAGES; ++stage) {
                passed[stage] += (passes[i] >> stage) & 1;
                failed[stage] += (failures[i] >> stage) & 1;
            }
        }
        stats.record(outcomes);
        (uint256[10] memory seenPassed, uint256[10] memory seenFailed) = stats.countersOf(node);
        for (uint256 stage; stage < NODE_STAGES; ++stage) {
            assertEq(seenPassed[stage], passed[stage], "passed");
            assertEq(seenFailed[stage], failed[stage], "failed");
        }
    }

    // ---------------------------------------------------------------- NodeReputation

    function test_points_move_by_stage_and_stay_bounded() public {
        reputation.record(one(bitOf(NodeStage.Correctness) | bitOf(NodeStage.Commit), 0, 0));
        assertEq(reputation.pointsOf(node), 5, "four and one");
        reputation.record(one(0, bitOf(NodeStage.Correctness), 0));
        assertEq(reputation.stagePointsOf(node, NodeStage.Correctness), -4, "eight less");
        reputation.record(one(bitOf(NodeStage.Ping) | bitOf(NodeStage.Start) | bitOf(NodeStage.Request), 0, 0));
        assertEq(reputation.pointsOf(node), -3, "what costs nothing earns nothing");
        for (uint256 i; i < 40; ++i) {
            reputation.recordTask(node, false);
        }
        assertEq(reputation.stagePointsOf(node, NodeStage.Task), reputation.FLOOR(), "floor");
        for (uint256 i; i < 310; ++i) {
            reputation.recordTask(node, true);
        }
        assertEq(reputation.stagePointsOf(node, NodeStage.Task), reputation.CAP(), "cap");
        (uint256 gain, uint256 loss) = reputation.weightsOf(NodeStage.Task);
        assertEq(gain, 2, "gain");
        assertEq(loss, 6, "loss");
    }

    function test_a_node_is_proven_by_right_answers_not_by_diligence_alone() public {
        for (uint256 i; i < 40; ++i) {
            reputation.record(one(bitOf(NodeStage.Commit), 0, 0));
        }
        assertTrue(reputation.pointsOf(node) >= reputation.PROVEN_POINTS(), "points");
        assertTrue(!reputation.isProven(node), "no right answer yet");
        reputation.record(one(bitOf(NodeStage.Correctness), 0, 0));
        assertTrue(reputation.isProven(node), "proven");
        assertTrue(!reputation.isProven(address(1)), "a stranger is not");
    }

    function testFuzz_points_stay_between_floor_and_cap(uint16[32] calldata passes, uint16[32] calldata failures)
        public
    {
        for (uint256 i; i < 32; ++i) {
            reputation.record(one(passes[i], failures[i], 0));
        }
        int256 sum;
        for (uint256 stage; stage < NODE_STAGES; ++stage) {
            int256 points = reputation.stagePointsOf(node, NodeStage(stage));
            assertTrue(points >= reputation.FLOOR() && points <= reputation.CAP(), "bounded");
            sum += points;
        }
        assertEq(reputation.pointsOf(node), sum, "the sum of its stages");
    }

    function one(uint16 passed, uint16 failed, uint16 elapsed) private view returns (Outcome[] memory outcomes) {
        outcomes = new Outcome[](1);
        outcomes[0] = Outcome(node, passed, failed, elapsed);
    }
}
