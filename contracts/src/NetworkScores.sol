// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {NetworkLedger} from "./NetworkLedger.sol";
import {Credit} from "./NetworkRewards.sol";
import {NodeStage, Outcome, bitOf} from "./NodeOutcomes.sol";

/// @title What an ended network task says about those who took part: outcomes for their record, points for
///        their pay.
abstract contract NetworkScores is NetworkLedger {
    /// @notice What the creator and each preparer of a task earn when an answer was accepted. A completer earns
    ///         its accuracy in basis points.
    uint256 public constant CREATE_CREDIT = 2_000;
    uint256 public constant PREPARE_CREDIT = 3_000;

    /// @dev How everybody did that was asked for something: the requester, the creator, the preparers whose turn
    ///      is over, the completers.
    /// @param known whether the requester is a node
    function _outcomes(NetworkSession storage s, bool known) internal view returns (Outcome[] memory outcomes) {
        address requester = _requests[requestCounter].requester;
        uint256 preparers = s.preparer;
        uint256 completers = s.completers.length;
        outcomes = new Outcome[]((known ? 2 : 1) + preparers + completers);
        outcomes[0] = Outcome(s.creator, bitOf(NodeStage.Create), 0, 0);
        for (uint256 i; i < preparers; ++i) {
            bool delivered = (s.delivered >> i) & 1 != 0;
            (outcomes[1 + i].node, outcomes[1 + i].passed) = (s.preparers[i], delivered ? bitOf(NodeStage.Prepare) : 0);
            if (!delivered) outcomes[1 + i].failed = bitOf(NodeStage.Prepare);
        }
        for (uint256 i; i < completers; ++i) {
            outcomes[1 + preparers + i] = _outcomeOf(s.completers[i], s.validator != address(0));
        }
        if (known) outcomes[outcomes.length - 1] = Outcome(requester, bitOf(NodeStage.Request), 0, 0);
    }

    function _outcomeOf(Completer storage c, bool judged) private view returns (Outcome memory outcome) {
        (outcome.node, outcome.passed, outcome.elapsed) = (c.miner, bitOf(NodeStage.Start), c.elapsed);
        if (!c.precommitted) {
            outcome.failed = bitOf(NodeStage.Precommit);
            return outcome;
        }
        outcome.passed |= bitOf(NodeStage.Precommit);
        if (!c.committed) {
            outcome.failed = bitOf(NodeStage.Commit);
            return outcome;
        }
        outcome.passed |= bitOf(NodeStage.Commit);
        if (!judged) return outcome;
        outcome.passed |= bitOf(NodeStage.End);
        if (c.accuracyBps != 0) outcome.passed |= bitOf(NodeStage.Correctness);
        else outcome.failed = bitOf(NodeStage.Correctness);
    }

    /// @dev Of a session with an accepted answer.
    function _credits(NetworkSession storage s) internal view returns (Credit[] memory credits) {
        uint256 preparers = s.preparer;
        uint256 completers = s.completers.length;
        credits = new Credit[](1 + preparers + completers);
        credits[0] = Credit(s.creator, uint96(CREATE_CREDIT));
        for (uint256 i; i < preparers; ++i) {
            uint256 points = (s.delivered >> i) & 1 != 0 ? PREPARE_CREDIT : 0;
            credits[1 + i] = Credit(s.preparers[i], uint96(points));
        }
        for (uint256 i; i < completers; ++i) {
            credits[1 + preparers + i] = Credit(s.completers[i].miner, s.completers[i].accuracyBps);
        }
    }
}
