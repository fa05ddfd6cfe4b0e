// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {NODE_STAGES, NodeStage, Outcome} from "./NodeOutcomes.sol";
import {RoleGuarded, RoleIds, Roles} from "../common/Roles.sol";
import {Versioned} from "../common/Versioned.sol";

/// @title Statistics of nodes: counters by stage, and a series of the last successes.
/// @notice Only the project's contracts write them. A node's data never makes a write revert: counters stop at their
///         largest value, and the series overwrites its oldest entry.
/// @dev A node has one word of passes, one of failures, and four words for its series. One outcome writes each word at
///      most once. A counter has 25 bits, so ten stages take 250 bits of a word. Four of the six bits above them, in
///      the word of passes, hold the next index of the series.
contract NodeStats is Versioned {
    /// @dev One entry of a series.
    /// @param time the time of the success, in seconds since 1970
    /// @param elapsed the seconds that it took
    /// @param stages a bit for each passed stage (see Outcome)
    struct Success {
        uint256 time;
        uint256 elapsed;
        uint256 stages;
    }

    /// @notice The number of successes in a node's series.
    uint256 public constant SERIES_LENGTH = 16;
    /// @notice The largest value of a counter, at which it stops.
    uint256 public constant COUNTER_CAP = (1 << COUNTER_BITS) - 1;

    uint256 private constant COUNTER_BITS = 25;
    uint256 private constant NEXT_SHIFT = 250;
    uint256 private constant NEXT_MASK = 15;
    /// @dev An entry has 32 bits of time, 16 of elapsed seconds, and 16 of stages.
    uint256 private constant ENTRY_BITS = 64;
    uint256 private constant ENTRIES_A_WORD = 4;

    mapping(address node => uint256) private _passed;
    mapping(address node => uint256) private _failed;
    mapping(address node => uint256[SERIES_LENGTH / ENTRIES_A_WORD]) private _series;

    event OutcomeRecorded(address indexed node, uint16 passed, uint16 failed, uint16 elapsed);

    constructor(Roles roles_) RoleGuarded(roles_) {}

    /// @notice Counts the outcomes of several nodes. A node may appear more than once.
    function record(Outcome[] calldata outcomes) external onlyRole(RoleIds.MODULE) {
        for (uint256 i; i < outcomes.length; ++i) {
            Outcome calldata outcome = outcomes[i];
            address node = outcome.node;
            if (outcome.passed != 0) {
                _passed[node] = _push(node, _count(_passed[node], outcome.passed), outcome);
            }
            if (outcome.failed != 0) _failed[node] = _count(_failed[node], outcome.failed);
            emit OutcomeRecorded(node, outcome.passed, outcome.failed, outcome.elapsed);
        }
    }

    /// @notice Counts a user's task, with one storage write. No event is emitted, since the task has events of its own.
    function recordTask(address node, bool success) external onlyRole(RoleIds.MODULE) {
        uint256 stages = 1 << uint256(NodeStage.Task);
        if (success) _passed[node] = _count(_passed[node], stages);
        else _failed[node] = _count(_failed[node], stages);
    }

    /// @notice All counters of a node, in the order of NodeStage.
    function countersOf(address node)
        external
        view
        returns (uint256[NODE_STAGES] memory passed, uint256[NODE_STAGES] memory failed)
    {
        (uint256 passes, uint256 failures) = (_passed[node], _failed[node]);
        for (uint256 stage; stage < NODE_STAGES; ++stage) {
            passed[stage] = (passes >> (stage * COUNTER_BITS)) & COUNTER_CAP;
            failed[stage] = (failures >> (stage * COUNTER_BITS)) & COUNTER_CAP;
        }
    }

    /// @notice A node's last successes, the latest first. At most SERIES_LENGTH.
    function seriesOf(address node) external view returns (Success[] memory series) {
        uint256 next = (_passed[node] >> NEXT_SHIFT) & NEXT_MASK;
        series = new Success[](SERIES_LENGTH);
        uint256 count;
        for (; count < SERIES_LENGTH; ++count) {
            uint256 place = (next + SERIES_LENGTH - 1 - count) % SERIES_LENGTH;
            uint256 entry = _series[node][place / ENTRIES_A_WORD] >> (place % ENTRIES_A_WORD * ENTRY_BITS);
            if (uint32(entry >> 32) == 0) break;
            series[count] = Success(uint32(entry >> 32), uint16(entry >> 16), uint16(entry));
        }
        assembly ("memory-safe") {
            mstore(series, count) // the list only becomes shorter
        }
    }

    /// @return the word with every counter in `stages` increased by one, unless it is at its cap
    function _count(uint256 word, uint256 stages) private pure returns (uint256) {
        for (uint256 stage; stage < NODE_STAGES; ++stage) {
            if ((stages >> stage) & 1 == 0) continue;
            uint256 shift = stage * COUNTER_BITS;
            if ((word >> shift) & COUNTER_CAP != COUNTER_CAP) word += 1 << shift;
        }
        return word;
    }

    /// @dev Writes the success at the index that the word of passes contains, and advances the index.
    /// @return the word of passes with the new index
    function _push(address node, uint256 word, Outcome calldata outcome) private returns (uint256) {
        uint256 place = (word >> NEXT_SHIFT) & NEXT_MASK;
        uint256 shift = place % ENTRIES_A_WORD * ENTRY_BITS;
        uint256 entry =
            (uint256(uint32(block.timestamp)) << 32) | (uint256(outcome.elapsed) << 16) | outcome.passed;
        uint256 others = _series[node][place / ENTRIES_A_WORD] & ~(uint256(type(uint64).max) << shift);
        _series[node][place / ENTRIES_A_WORD] = others | (entry << shift);
        uint256 next = (place + 1) % SERIES_LENGTH;
        return (word & ~(NEXT_MASK << NEXT_SHIFT)) | (next << NEXT_SHIFT);
    }
}
