// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @notice What a verdict says of one result, in one word: it goes into an event, to the escrow and to the register
///         of nodes, and every word costs in each of them.
/// @dev From the high bits down: node 160; accuracyBps 16, timelinessBps 16: at most 10,000 each; outputTokens 32;
///      reputation 32: the node's after the verdict, signed; 0 before NodePool has filled it in.
type Mark is uint256;

using Marks for Mark global;

library Marks {
    uint256 private constant NODE = 96;
    uint256 private constant ACCURACY = 80;
    uint256 private constant TIMELINESS = 64;
    uint256 private constant TOKENS = 32;

    /// @dev The values fit: TaskSteps has checked them.
    function given(address node_, uint256 accuracyBps_, uint256 timelinessBps, uint256 outputTokens_)
        internal
        pure
        returns (Mark)
    {
        return Mark.wrap(
            (uint256(uint160(node_)) << NODE) | (accuracyBps_ << ACCURACY) | (timelinessBps << TIMELINESS)
                | (outputTokens_ << TOKENS)
        );
    }

    /// @dev With the node's reputation, which fits: NodePool keeps it in 16 bits.
    function withReputation(Mark mark, int256 reputation) internal pure returns (Mark) {
        return Mark.wrap(Mark.unwrap(mark) | uint32(int32(reputation)));
    }

    /// @dev The node and what it is paid, which fits into the 96 bits of the rest.
    function withPayment(Mark mark, uint256 amount) internal pure returns (uint256) {
        return (Mark.unwrap(mark) >> NODE) << NODE | amount;
    }

    function node(Mark mark) internal pure returns (address) {
        return address(uint160(Mark.unwrap(mark) >> NODE));
    }

    /// @dev Whether the result is worth anything.
    function isGood(Mark mark) internal pure returns (bool) {
        return (Mark.unwrap(mark) >> ACCURACY) & type(uint16).max != 0;
    }

    function outputTokens(Mark mark) internal pure returns (uint256) {
        return (Mark.unwrap(mark) >> TOKENS) & type(uint32).max;
    }

    /// @dev What the node gets of its tokens' price, in 1 / SessionPayment.SHARE_UNIT: accuracy × timeliness.
    function share(Mark mark) internal pure returns (uint256) {
        unchecked {
            uint256 word = Mark.unwrap(mark);
            return ((word >> ACCURACY) & type(uint16).max) * ((word >> TIMELINESS) & type(uint16).max);
        }
    }
}
