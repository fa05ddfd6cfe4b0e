// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @notice The stages in which a node can pass or fail. The first nine belong to network tasks, Task to users' tasks.
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

/// @dev The number of values of NodeStage.
uint256 constant NODE_STAGES = 10;

/// @notice The complete outcome of one network task or ping for one node.
/// @param passed a bit for each stage that the node passed: bit n is NodeStage n; higher bits are ignored
/// @param failed a bit for each stage that the node failed
/// @param elapsed the seconds that the node's main step took; 0 if they are not meaningful
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
