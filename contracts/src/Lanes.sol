// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {TaskStatus} from "./TaskTypes.sol";

/// @title How far a task has come, in 64 bits.
/// @dev From the high bits down:
///      status 3; judged 1: whether a verdict ended it;
///      assignedAfter 12: seconds from the task's `createdAt` to its first assignment, at most MAX_TIMEOUT;
///      phaseAfter 16: seconds from the assignment to the end of the precommit phase, 65,535 when later;
///      stageAt 32: when the status became Precommitted, Committed or Ended, as seconds since 1970.
///      All zero is a queued task.
library Progress {
    uint256 private constant MAX_PHASE = type(uint16).max;

    function begun(uint256 assignedAfter_) internal pure returns (uint64) {
        return uint64((uint256(TaskStatus.Assigned) << 61) | (assignedAfter_ << 48));
    }

    function status(uint64 progress) internal pure returns (TaskStatus) {
        return TaskStatus(progress >> 61);
    }

    function judged(uint64 progress) internal pure returns (bool) {
        return (progress >> 60) & 1 == 1;
    }

    function assignedAfter(uint64 progress) internal pure returns (uint256) {
        return (progress >> 48) & 0xfff;
    }

    function phaseAfter(uint64 progress) internal pure returns (uint256) {
        return (progress >> 32) & MAX_PHASE;
    }

    function stageAt(uint64 progress) internal pure returns (uint256) {
        return progress & type(uint32).max;
    }

    /// @dev Keeps all but the status and the time of the stage.
    function withStatus(uint64 progress, TaskStatus status_, uint256 stageAt_) internal pure returns (uint64) {
        return uint64(
            (uint256(status_) << 61) | (progress & 0x1fffffff00000000) | (stageAt_ & type(uint32).max)
        );
    }

    function withPhase(uint64 progress, uint256 phaseAfter_) internal pure returns (uint64) {
        return progress | uint64((phaseAfter_ < MAX_PHASE ? phaseAfter_ : MAX_PHASE) << 32);
    }

    function withJudged(uint64 progress) internal pure returns (uint64) {
        return progress | uint64(1 << 60);
    }
}

/// @title One miner's part in a task, in 64 bits.
/// @dev From the high bits down:
///      index 22: the miner's number in NodePool, 0 for a free place;
///      assigned 12: seconds from the task's first assignment to this one;
///      acked 12, precommitted 12: seconds from the task's first assignment, plus one; 0 for not yet;
///      committed 6: seconds from the end of the precommit phase, plus one; 0 for not yet.
///      They fit because nothing is accepted after its deadline: a precommit comes at most MAX_TIMEOUT = 3600
///      seconds after the first assignment, a commit at most COMMIT_WINDOW = 60 seconds after its phase began.
library Part {
    uint256 internal constant MAX_INDEX = (1 << 22) - 1;

    function placed(uint256 index_, uint256 assigned_) internal pure returns (uint64) {
        return uint64((index_ << 42) | (assigned_ << 30));
    }

    function index(uint64 part) internal pure returns (uint256) {
        return part >> 42;
    }

    function assigned(uint64 part) internal pure returns (uint256) {
        return (part >> 30) & 0xfff;
    }

    function acked(uint64 part) internal pure returns (uint256) {
        return (part >> 18) & 0xfff;
    }

    function precommitted(uint64 part) internal pure returns (uint256) {
        return (part >> 6) & 0xfff;
    }

    function committed(uint64 part) internal pure returns (uint256) {
        return part & 0x3f;
    }

    function withAcked(uint64 part, uint256 since) internal pure returns (uint64) {
        return part | uint64((since + 1) << 18);
    }

    function withPrecommitted(uint64 part, uint256 since) internal pure returns (uint64) {
        return part | uint64((since + 1) << 6);
    }

    function withCommitted(uint64 part, uint256 since) internal pure returns (uint64) {
        return part | uint64(since + 1);
    }

    /// @dev Ended is not among them: that a result is judged, the task knows.
    function state(uint64 part) internal pure returns (TaskStatus) {
        if (index(part) == 0) return TaskStatus.Queued;
        if (committed(part) != 0) return TaskStatus.Committed;
        if (precommitted(part) != 0) return TaskStatus.Precommitted;
        if (acked(part) != 0) return TaskStatus.Acked;
        return TaskStatus.Assigned;
    }
}
