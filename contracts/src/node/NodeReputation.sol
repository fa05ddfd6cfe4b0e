// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {NODE_STAGES, NodeStage, Outcome} from "./NodeOutcomes.sol";
import {RoleGuarded, RoleIds, Roles} from "../common/Roles.sol";
import {Versioned} from "../common/Versioned.sol";

/// @title Nodes' points by stage. Oracles read them to decide which nodes become ephemeral.
/// @notice A passed stage gains a few points, and a failed one loses more. Each stage's points stay between FLOOR and
///         CAP, so that neither a long good record nor one bad day has a permanent effect. Only the project's contracts
///         write points, and a node's data never makes a write revert.
/// @dev A node's points are one word: ten stages of 16 bits, in two's complement.
contract NodeReputation is Versioned {
    int256 public constant FLOOR = -100;
    int256 public constant CAP = 500;
    /// @notice The least points over all stages that make a node count as proven.
    int256 public constant PROVEN_POINTS = 30;

    uint256 private constant POINT_BITS = 16;
    /// @dev A byte for each stage, in the order of NodeStage. Requests, starts and pings take no work, so they earn no
    ///      points.
    bytes10 private constant GAINS = 0x00020200010101040002;
    bytes10 private constant LOSSES = 0x00030300030500080006;

    mapping(address node => uint256) private _points;

    event PointsChanged(address indexed node, int256 delta, int256 points);

    constructor(Roles roles_) RoleGuarded(roles_) {}

    /// @notice Changes the points of several nodes. A node may appear more than once.
    function record(Outcome[] calldata outcomes) external onlyRole(RoleIds.MODULE) {
        for (uint256 i; i < outcomes.length; ++i) {
            _record(outcomes[i].node, outcomes[i].passed, outcomes[i].failed);
        }
    }

    /// @notice Changes the points of one node after a user's task, with one storage write and one event.
    function recordTask(address node, bool success) external onlyRole(RoleIds.MODULE) {
        uint256 stages = 1 << uint256(NodeStage.Task);
        if (success) _record(node, stages, 0);
        else _record(node, 0, stages);
    }

    /// @notice A node's points over all stages.
    function pointsOf(address node) external view returns (int256) {
        return _sum(_points[node]);
    }

    /// @notice A node's points in one stage.
    function stagePointsOf(address node, NodeStage stage) external view returns (int256) {
        return _lane(_points[node], uint256(stage));
    }

    /// @notice Whether a node's record is good enough for users' tasks: it needs enough points, and correct answers.
    function isProven(address node) external view returns (bool) {
        uint256 word = _points[node];
        return _sum(word) >= PROVEN_POINTS && _lane(word, uint256(NodeStage.Correctness)) > 0;
    }

    /// @notice The points that a node gains by passing a stage, and loses by failing it.
    function weightsOf(NodeStage stage) external pure returns (uint256 gain, uint256 loss) {
        return (uint8(GAINS[uint256(stage)]), uint8(LOSSES[uint256(stage)]));
    }

    function _record(address node, uint256 passed, uint256 failed) private {
        uint256 before = _points[node];
        uint256 word = before;
        for (uint256 stage; stage < NODE_STAGES; ++stage) {
            int256 delta;
            if ((passed >> stage) & 1 != 0) delta += int256(uint256(uint8(GAINS[stage])));
            if ((failed >> stage) & 1 != 0) delta -= int256(uint256(uint8(LOSSES[stage])));
            if (delta != 0) word = _move(word, stage, delta);
        }
        if (word == before) return;
        _points[node] = word;
        int256 points = _sum(word);
        emit PointsChanged(node, points - _sum(before), points);
    }

    function _move(uint256 word, uint256 stage, int256 delta) private pure returns (uint256) {
        int256 points = _lane(word, stage) + delta;
        if (points > CAP) points = CAP;
        if (points < FLOOR) points = FLOOR;
        uint256 shift = stage * POINT_BITS;
        uint256 others = word & ~(uint256(type(uint16).max) << shift);
        // No overflow: FLOOR and CAP are far inside int16.
        return others | (uint256(uint16(int16(points))) << shift);
    }

    function _lane(uint256 word, uint256 stage) private pure returns (int256) {
        return int16(uint16(word >> (stage * POINT_BITS)));
    }

    function _sum(uint256 word) private pure returns (int256 sum) {
        for (uint256 stage; stage < NODE_STAGES; ++stage) {
            sum += _lane(word, stage);
        }
    }
}
