// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {NetworkLedger} from "./NetworkLedger.sol";
import {Credit} from "../money/NetworkRewards.sol";
import {NodeStage, Outcome, bitOf} from "../node/NodeOutcomes.sol";

/// @title The scores of a network task's participants: outcomes for their records, and points for their rewards.
abstract contract NetworkScores is NetworkLedger {
    /// @notice The points that the creator and each preparer of a task earn if an answer was accepted. A completer
    ///         earns its accuracy in basis points.
    uint256 public constant CREATE_CREDIT = 2_000;
    uint256 public constant PREPARE_CREDIT = 3_000;

    /// @dev The outcomes of all participants of the running phase: its completers, and in the first phase also the
    ///      requester, the creator and the preparers whose turn is over.
    /// @param known whether the requester is a registered node
    function _outcomes(NetworkSession storage s, bool known) internal view returns (Outcome[] memory outcomes) {
        Completer[] storage completers = _completers(s);
        uint256 count = completers.length;
        bool first = s.phase == 0;
        uint256 others = first ? 1 + s.preparer : 0;
        known = known && first;
        outcomes = new Outcome[](others + count + (known ? 1 : 0));
        if (first) outcomes[0] = Outcome(s.creator, bitOf(NodeStage.Create), 0, 0);
        for (uint256 i = 1; i < others; ++i) {
            bool delivered = (s.delivered >> (i - 1)) & 1 != 0;
            outcomes[i].node = s.preparers[i - 1];
            if (delivered) outcomes[i].passed = bitOf(NodeStage.Prepare);
            else outcomes[i].failed = bitOf(NodeStage.Prepare);
        }
        for (uint256 i; i < count; ++i) {
            outcomes[others + i] = _outcomeOf(completers[i], s.validator != address(0));
        }
        if (known) {
            address requester = _requests[requestCounter].requester;
            outcomes[outcomes.length - 1] = Outcome(requester, bitOf(NodeStage.Request), 0, 0);
        }
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

    /// @dev The credits for a phase with an accepted answer. Only the first phase credits the creator and the
    ///      preparers.
    function _credits(NetworkSession storage s) internal view returns (Credit[] memory credits) {
        Completer[] storage completers = _completers(s);
        uint256 count = completers.length;
        uint256 preparers = s.preparer;
        uint256 others = s.phase == 0 ? 1 + preparers : 0;
        credits = new Credit[](others + count);
        if (others != 0) credits[0] = Credit(s.creator, uint96(CREATE_CREDIT));
        for (uint256 i = 1; i < others; ++i) {
            uint256 points = (s.delivered >> (i - 1)) & 1 != 0 ? PREPARE_CREDIT : 0;
            credits[i] = Credit(s.preparers[i - 1], uint96(points));
        }
        for (uint256 i; i < count; ++i) {
            credits[others + i] = Credit(completers[i].miner, completers[i].accuracyBps);
        }
    }
}
