// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {NetworkFlow} from "../src/network/NetworkFlow.sol";
import {NetworkRequests} from "../src/network/NetworkRequests.sol";
import {NetworkPhase, NetworkPhaseView, NetworkState} from "../src/network/NetworkTypes.sol";
import {NodeStage} from "../src/node/NodeOutcomes.sol";
import {IdleNetwork} from "./IdleNetwork.sol";

interface StateVm {
    function snapshotState() external returns (uint256);
    function revertToState(uint256 state) external returns (bool);
}

/// @dev Network tasks of several phases: each assigned, precommitted, committed and judged in its turn.
contract NetworkPhasesTest is IdleNetwork {
    function setUp() public {
        deployIdleNetwork();
        nextEpoch();
        pingAll(5);
    }

    // ---------------------------------------------------------------- the whole way

    function test_each_phase_is_assigned_precommitted_committed_and_judged_in_its_turn() public {
        uint256 id = planned(planOf(3, 1, 60));
        for (uint256 phase; phase < 4; ++phase) {
            (uint256 running, uint256 last) = network.getPhases(id);
            assertEq(running, phase, "running");
            assertEq(last, 3, "last");
            assertState(id, NetworkState.Prepare, "waits for its start");
            assertEq(network.getPrompt(id), "", "no prompt before it");
            cognitive.start(id);
            assertState(id, NetworkState.Start, "assigned");
            allPrecommitted(id);
            assertState(id, NetworkState.Precommit, "precommitted");
            allCommitted(id);
            assertState(id, NetworkState.Commit, "committed");
            judgeAll(id, 9_000);
        }
        assertState(id, NetworkState.End, "ended");
        assertEq(points(), 2_000 + 2 * 3_000 + 4 * 5 * 9_000, "creator and preparers once, completers by phase");
        assertEq(network.temporaryCompletionResultCounter(), 20, "completions");
        requested();
        assertTrue(network.isRequestState(), "and the next round can begin");
    }

    function test_the_next_prompt_is_the_instruction_and_the_accepted_results() public {
        uint256 id = planned(planOf(1, 2, 60));
        uint256[] memory accuracies = new uint256[](5);
        (accuracies[1], accuracies[4]) = (10_000, 1);
        runPhase(id, accuracies);
        address[] memory first = network.getPhase(id, 0).miners;
        cognitive.start(id);
        string memory expected =
            string.concat("Improve this:", "\n\n", completionOf(first[1]), "\n\n", completionOf(first[4]));
        assertEq(network.getPrompt(id), expected, "prompt");
        NetworkPhaseView memory second = network.getPhase(id, 1);
        assertEq(second.prompt, expected, "prompt of the phase");
        assertEq(second.instruction, "Improve this:", "instruction");
        assertEq(second.quorum, 2, "quorum");
        assertEq(second.startTimestamp, time, "start");
        assertEq(second.seed, network.getSessionSeed(id), "seed");
        NetworkPhaseView memory before = network.getPhase(id, 0);
        assertTrue(before.seed != second.seed, "a seed of its own");
        assertEq(before.validator, validator, "who judged");
        assertEq(before.accuraciesBps[1], 10_000, "accuracy");
        assertEq(before.completions[1], completionOf(first[1]), "completion");
        assertEq(before.prompt, network.get(id).challenges[network.get(id).challengeIndex], "the preparers'");
        assertEq(network.getPhase(id, 2).prompt, "", "nothing was planned");
    }

    function test_a_task_without_a_plan_has_one_phase() public {
        uint256 id = committed();
        judgeAll(id, 10_000);
        (uint256 running, uint256 last) = network.getPhases(id);
        assertEq(running + last, 0, "one");
        assertState(id, NetworkState.End, "ended");
    }

    // ---------------------------------------------------------------- quorum

    function test_no_phase_begins_before_the_last_ones_quorum() public {
        uint256 id = planned(planOf(2, 3, 60));
        uint256[] memory accuracies = new uint256[](5);
        (accuracies[0], accuracies[2]) = (10_000, 4_000);
        runPhase(id, accuracies);
        assertState(id, NetworkState.End, "two accepted results are too few");
        assertEq(points(), 2_000 + 2 * 3_000 + 14_000, "whose makers are credited all the same");
        vm.expectRevert(
            abi.encodeWithSelector(NetworkFlow.WrongState.selector, NetworkState.End, NetworkState.Prepare)
        );
        cognitive.start(id);
    }

    /// @dev Whatever a validator says: the next phase opens exactly when the quorum is there, and each phase pays
    ///      for itself and once.
    function testFuzz_a_phase_opens_at_its_quorum_and_pays_for_itself(uint256 seed, uint256 quorum) public {
        quorum = bound(quorum, 1, 5);
        uint256 id = planned(planOf(3, quorum, 60));
        uint256 expected = 2_000 + 2 * 3_000;
        for (uint256 phase; phase < 4; ++phase) {
            (uint256[] memory accuracies, uint256 sum, uint256 accepted) = someAccuracies(seed, phase);
            runPhase(id, accuracies);
            if (phase == 0 && accepted == 0) expected = 0;
            expected += sum;
            assertEq(points(), expected, "points");
            (uint256 running,) = network.getPhases(id);
            bool opened = phase < 3 && accepted >= quorum;
            assertEq(running, opened ? phase + 1 : phase, "phase");
            assertState(id, opened ? NetworkState.Prepare : NetworkState.End, "state");
            if (!opened) return;
        }
    }

    // ---------------------------------------------------------------- deadlines

    function test_each_phase_has_its_own_deadline() public {
        uint256 id = planned(planOf(1, 1, 30));
        runPhase(id, filled(5, 10_000));
        assertEq(network.getSessionDeadline(id), time + 60, "to be started");
        cognitive.start(id);
        assertEq(network.getSessionDeadline(id), time + 30, "to be precommitted");
        address[] memory drawn = network.get(id).miners;
        precommitAs(id, drawn[0]);
        tick(31);
        vm.expectRevert(abi.encodeWithSelector(NetworkRequests.TooLate.selector, time, time - 1));
        vm.prank(drawn[1]);
        cognitive.precommit(id, bytes32(uint256(1)), "", 0);
        cognitive.endPrecommit(id);
        tick(1);
        commitAs(id, drawn[0]);
        uint256[] memory accuracies = new uint256[](5);
        accuracies[0] = 500;
        vm.prank(validator);
        cognitive.judge(id, accuracies, "");
        assertState(id, NetworkState.End, "ended");
        assertEq(reputation.stagePointsOf(drawn[1], NodeStage.Precommit), -2, "one pass, one failure");
    }

    function test_a_phase_that_nobody_starts_or_answers_ends_the_task_and_costs_no_credit() public {
        uint256 id = planned(planOf(1, 1, 30));
        runPhase(id, filled(5, 10_000));
        uint256 credited = points();
        (uint256[10] memory passed,) = stats.countersOf(network.get(id).creator);
        vm.expectRevert(abi.encodeWithSelector(NetworkRequests.TooEarly.selector, time, time + 60));
        cognitive.end(id, true);
        tick(61);
        vm.expectRevert(abi.encodeWithSelector(NetworkRequests.TooLate.selector, time, time - 1));
        cognitive.start(id);
        cognitive.end(id, true);
        assertState(id, NetworkState.End, "nobody started it");
        assertEq(points(), credited, "what was credited stays");
        (uint256[10] memory after_,) = stats.countersOf(network.get(id).creator);
        assertEq(after_[uint256(NodeStage.Create)], passed[uint256(NodeStage.Create)], "recorded once");

        pingAll(5);
        id = planned(planOf(1, 1, 30));
        runPhase(id, filled(5, 10_000));
        credited = points();
        cognitive.start(id);
        tick(31);
        cognitive.end(id, true);
        assertState(id, NetworkState.End, "nobody answered it");
        assertEq(points(), credited, "what was credited stays");
    }

    function test_a_phase_without_a_verdict_is_judged_by_nobody() public {
        uint256 id = planned(planOf(1, 1, 60));
        runPhase(id, filled(5, 10_000));
        uint256 credited = points();
        address node = network.get(id).preparers[0];
        int256 correct = reputation.stagePointsOf(node, NodeStage.Correctness);
        int256 revealed = reputation.stagePointsOf(node, NodeStage.Commit);
        cognitive.start(id);
        allPrecommitted(id);
        allCommitted(id);
        tick(WINDOW);
        cognitive.end(id, true);
        assertState(id, NetworkState.End, "ended");
        assertEq(points(), credited, "no credit");
        assertEq(network.getPhase(id, 1).validator, address(0), "nobody judged");
        assertEq(reputation.stagePointsOf(node, NodeStage.Correctness), correct, "neither right nor wrong");
        assertTrue(reputation.stagePointsOf(node, NodeStage.Commit) > revealed, "but revealed");
    }

    function test_a_phase_for_which_nobody_is_there_ends_the_task() public {
        tick(14 minutes); // the pings are too old before the first phase is over
        uint256 id = planned(planOf(1, 1, 30));
        cognitive.start(id);
        tick(100);
        allPrecommitted(id);
        allCommitted(id);
        judgeAll(id, 10_000);
        uint256 credited = points();
        vm.expectRevert(NetworkFlow.NobodyThere.selector);
        cognitive.start(id);
        tick(61);
        cognitive.end(id, true);
        assertState(id, NetworkState.End, "ended");
        assertEq(points(), credited, "what was credited stays");
    }

    // ---------------------------------------------------------------- nothing fits into two phases

    function test_a_hash_and_a_signature_of_one_phase_are_of_no_use_in_the_next() public {
        uint256 id = planned(planOf(1, 1, 60));
        cognitive.start(id);
        address node = network.get(id).miners[0];
        uint256 seed = network.getSessionSeed(id);
        bytes32 hash = network.completionHash(id, node, completionOf(node), saltOf(node));
        bytes32 typeHash = keccak256("NetworkPrecommit(uint256 id,uint256 seed,bytes32 hash)");
        bytes32 structHash = keccak256(abi.encode(typeHash, id, seed, hash));
        bytes memory signature = signedFor(address(cognitive), keyOf(node), structHash);
        allPrecommitted(id);
        allCommitted(id);
        judgeAll(id, 10_000);
        cognitive.start(id);
        uint256 second = network.getSessionSeed(id);
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.WrongSeed.selector, seed, second));
        cognitive.precommit(id, hash, signature, seed);
        vm.expectPartialRevert(NetworkFlow.NotDrawn.selector);
        cognitive.precommit(id, hash, signature, 0);
        address[] memory drawn = network.get(id).miners;
        for (uint256 i; i < drawn.length; ++i) {
            if (drawn[i] != node) precommitAs(id, drawn[i]);
        }
        vm.prank(node);
        cognitive.precommit(id, hash, "", 0);
        tick(1);
        bytes32 fresh = network.completionHash(id, node, completionOf(node), saltOf(node));
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.HashMismatch.selector, fresh, hash));
        vm.prank(node);
        cognitive.commit(id, completionOf(node), "", saltOf(node));
    }

    function test_a_phase_is_judged_once() public {
        uint256 id = planned(planOf(1, 1, 60));
        runPhase(id, filled(5, 10_000));
        uint256 credited = points();
        vm.expectRevert(
            abi.encodeWithSelector(NetworkFlow.WrongState.selector, NetworkState.Prepare, NetworkState.Commit)
        );
        vm.prank(validator);
        cognitive.judge(id, filled(5, 10_000), "");
        assertEq(points(), credited, "nothing more");
    }

    function test_who_comes_after_the_freeze_is_not_drawn_for_the_next_phase() public {
        uint256 id = planned(planOf(1, 1, 60));
        cognitive.start(id);
        allPrecommitted(id);
        enrol(miner(9));
        pingAs(miner(9));
        tick(1);
        allCommitted(id);
        judgeAll(id, 10_000);
        cognitive.start(id);
        address[] memory drawn = network.get(id).miners;
        assertEq(drawn.length, 5, "the five that were there");
        for (uint256 i; i < 5; ++i) {
            assertTrue(drawn[i] != miner(9), "not the newcomer");
        }
    }

    /// @dev Or the validator could try out verdicts until it likes whom they draw.
    function test_the_verdict_goes_into_the_phases_seed_and_not_into_its_draw() public {
        uint256 id = planned(planOf(1, 1, 60));
        uint256[] memory accuracies = filled(5, 10_000);
        uint256 state = StateVm(address(vm)).snapshotState();
        runPhase(id, accuracies);
        cognitive.start(id);
        (uint256 seed, address[] memory drawn) = (network.getSessionSeed(id), network.get(id).miners);
        assertTrue(StateVm(address(vm)).revertToState(state), "back to the first phase");
        accuracies[2] = 0;
        runPhase(id, accuracies);
        cognitive.start(id);
        assertTrue(network.getSessionSeed(id) != seed, "another prompt, another seed");
        for (uint256 i; i < 5; ++i) {
            assertEq(network.get(id).miners[i], drawn[i], "the same draw");
        }
    }

    function test_the_next_rounds_seed_comes_of_the_last_phase() public {
        uint256 id = planned(planOf(1, 1, 60));
        runPhase(id, filled(5, 10_000));
        cognitive.start(id);
        allPrecommitted(id);
        uint256 closedIn = height - 1;
        allCommitted(id);
        judgeAll(id, 10_000);
        cognitive.request();
        assertEq(network.getRequest(2).seed, seedAfter(id, closedIn), "seed");
    }

    // ---------------------------------------------------------------- words of this test

    function planned(NetworkPhase[] memory phases) private returns (uint256 id) {
        requested();
        vm.prank(creator());
        id = cognitive.createPhased("science", "optics", phases, "");
        prepareAll(id);
    }

    function runPhase(uint256 id, uint256[] memory accuracies) private {
        cognitive.start(id);
        allPrecommitted(id);
        allCommitted(id);
        vm.prank(validator);
        cognitive.judge(id, accuracies, "");
    }

    function someAccuracies(uint256 seed, uint256 phase)
        private
        pure
        returns (uint256[] memory accuracies, uint256 sum, uint256 accepted)
    {
        accuracies = new uint256[](5);
        for (uint256 i; i < 5; ++i) {
            uint256 value = uint256(keccak256(abi.encode(seed, phase, i)));
            if (value % 4 == 0) continue; // a quarter of the answers is wrong
            accuracies[i] = 1 + value % 10_000;
            sum += accuracies[i];
            ++accepted;
        }
    }

    function points() private view returns (uint256 sum) {
        (,,, sum) = rewards.getEpoch(rewards.currentEpoch());
    }

    function assertState(uint256 id, NetworkState expected, string memory what) private view {
        assertEq(network.getSessionState(id), uint256(expected), what);
    }
}
