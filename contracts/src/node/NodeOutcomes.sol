// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @notice What a node can be good or bad at. The first nine belong to network tasks, Task to users' tasks.
enum NodeStage {
    Request,
    Create,
    Prepare,
    Start,
    Precommit,
    Commit,
    End,
    Correctness,
    Ping,
    Task
}

/// @dev How many values NodeStage has.
uint256 constant NODE_STAGES = 10;

/// @notice How a node did in one network task or ping: everything about it at once.
/// @param passed a bit for each stage that it passed: bit n is NodeStage n; bits above the stages mean nothing
/// @param failed the same for the stages that it failed
/// @param elapsed seconds that its main step took, 0 where that says nothing
struct Outcome {
    address node;
    uint16 passed;
    uint16 failed;
    uint16 elapsed;
}

/// @dev The bit of a stage in `Outcome.passed` and `Outcome.failed`.
function bitOf(NodeStage stage) pure returns (uint16) {
    return uint16(1 << uint8(stage));
}
