// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @notice A verdict's mark for one result, in one word. It is passed to an event, to the escrow and to the register of
///         nodes, and each word costs gas in all three.
/// @dev From the high bits down: node 160; accuracyBps 16 and timelinessBps 16, at most 10,000 each; outputTokens 32;
///      reputation 32: the node's reputation after the verdict, signed; 0 until NodePool sets it.
type Mark is uint256;

using Marks for Mark global;

library Marks {
    uint256 private constant NODE = 96;
    uint256 private constant ACCURACY = 80;
    uint256 private constant TIMELINESS = 64;
    uint256 private constant TOKENS = 32;

    /// @dev Packs a mark. TaskSteps has checked that the values fit.
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

    /// @dev Sets the node's reputation. It fits, since NodePool stores it in 16 bits.
    function withReputation(Mark mark, int256 reputation) internal pure returns (Mark) {
        return Mark.wrap(Mark.unwrap(mark) | uint32(int32(reputation)));
    }

    /// @dev Packs the node and the amount that it is paid, which fits into 96 bits.
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

    /// @dev The node's share of its tokens' price, in units of 1 / SessionPayment.SHARE_UNIT: accuracy × timeliness.
    function share(Mark mark) internal pure returns (uint256) {
        unchecked {
            uint256 word = Mark.unwrap(mark);
            return ((word >> ACCURACY) & type(uint16).max) * ((word >> TIMELINESS) & type(uint16).max);
        }
    }
}
