// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {CallBatching} from "../src/common/CallBatching.sol";
import {NetworkFlow} from "../src/network/NetworkFlow.sol";
import {NetworkRequests} from "../src/network/NetworkRequests.sol";
import {NodeStage} from "../src/node/NodeOutcomes.sol";
import {NetworkCommit, NetworkPrecommit, NetworkState} from "../src/network/NetworkTypes.sol";
import {IdleNetwork} from "./IdleNetwork.sol";

/// @dev What preparers and completers of a network task do, and what is refused.
contract NetworkWorkTest is IdleNetwork {
    function setUp() public {
        deployIdleNetwork();
        nextEpoch();
        pingAll(5);
    }

    // ---------------------------------------------------------------- prepare and start

    function test_only_the_preparer_whose_turn_it_is_writes_prompts() public {
        uint256 id = created();
        address asked = preparer(id);
        vm.expectRevert(abi.encodeWithSelector(NetworkRequests.NotAsked.selector, relayer, asked));
        vm.prank(relayer);
        cognitive.prepare(id, prompts(1), "", 0);
        uint256 seed = network.getSessionSeed(id);
        vm.startPrank(asked);
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.WrongNumber.selector, 0, 2));
        cognitive.prepare(id, prompts(0), "", 0);
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.WrongNumber.selector, 3, 2));
        cognitive.prepare(id, prompts(3), "", 0);
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.WrongSeed.selector, seed ^ 1, seed));
        cognitive.prepare(id, prompts(1), "", seed ^ 1);
        cognitive.prepare(id, prompts(1), "", seed);
        vm.stopPrank();
        tick(91);
        address late = preparer(id);
        vm.expectRevert(abi.encodeWithSelector(NetworkRequests.TooLate.selector, time, time - 1));
        vm.prank(late);
        cognitive.prepare(id, prompts(1), "", 0);
    }

    function test_a_preparer_without_gas_signs() public {
        uint256 id = created();
        address asked = preparer(id);
        string[] memory challenges = prompts(2);
        bytes32 list = keccak256(abi.encode(keccak256(bytes(challenges[0])), keccak256(bytes(challenges[1]))));
        bytes32 typeHash = keccak256("NetworkPrepare(uint256 id,uint256 seed,string[] challenges)");
        bytes32 structHash = keccak256(abi.encode(typeHash, id, network.getSessionSeed(id), list));
        bytes memory signature = signedFor(address(cognitive), keyOf(asked), structHash);
        vm.prank(relayer);
        cognitive.prepare(id, challenges, signature, 0);
        assertEq(network.get(id).challenges.length, 2, "prompts");
    }

    function test_late_preparers_are_passed_over() public {
        uint256 id = created();
        address late = preparer(id);
        vm.expectRevert(abi.encodeWithSelector(NetworkRequests.TooEarly.selector, time, time + 90));
        cognitive.requestNextPreparer();
        tick(91);
        cognitive.requestNextPreparer();
        prepareNext(id);
        tick(91);
        cognitive.end(id, true); // forces on, too
        tick(91);
        cognitive.requestNextPreparer();
        assertEq(network.getSessionState(id), uint256(NetworkState.Prepare), "goes on with what there is");
        tick(61);
        vm.expectRevert(abi.encodeWithSelector(NetworkRequests.TooLate.selector, time, time - 1));
        cognitive.start(id);
        cognitive.end(id, true);
        assertEq(network.getSessionState(id), uint256(NetworkState.End), "never started");
        assertEq(reputation.stagePointsOf(late, NodeStage.Prepare), -3, "lateness costs");
    }

    function test_a_session_without_prompts_ends() public {
        uint256 id = created();
        for (uint256 i; i < 4; ++i) {
            tick(91);
            cognitive.requestNextPreparer();
        }
        assertEq(network.getSessionState(id), uint256(NetworkState.End), "ended");
        vm.expectRevert(
            abi.encodeWithSelector(NetworkFlow.WrongState.selector, NetworkState.End, NetworkState.Create)
        );
        cognitive.requestNextPreparer();
        requested();
        assertTrue(network.isRequestState(), "and the next round can begin");
    }

    function test_who_was_drawn_of_late_is_left_alone() public {
        vm.prank(admin);
        cognitive.setMinerCooldownPeriod(1 hours);
        judgeAll(committed(), 10_000);
        uint256 id = prepared();
        vm.expectRevert(NetworkFlow.NobodyThere.selector);
        cognitive.start(id);
        tick(61);
        cognitive.resetState(id);
        assertEq(network.getSessionState(id), uint256(NetworkState.End), "over");
    }

    // ---------------------------------------------------------------- precommit and commit

    function test_only_drawn_nodes_precommit_and_once() public {
        uint256 id = started();
        address node = network.get(id).miners[0];
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.NotDrawn.selector, relayer));
        vm.prank(relayer);
        cognitive.precommit(id, bytes32(uint256(1)), "", 0);
        vm.expectRevert(NetworkFlow.ZeroHash.selector);
        vm.prank(node);
        cognitive.precommit(id, 0, "", 0);
        precommitAs(id, node);
        vm.expectRevert(NetworkFlow.AlreadyDone.selector);
        vm.prank(node);
        cognitive.precommit(id, bytes32(uint256(1)), "", 0);
    }

    function test_nothing_is_revealed_before_the_phase_is_over_nor_in_its_last_block() public {
        uint256 id = started();
        address[] memory drawn = network.get(id).miners;
        precommitAs(id, drawn[0]);
        bytes memory open =
            abi.encodeWithSelector(NetworkFlow.WrongState.selector, NetworkState.Start, NetworkState.Precommit);
        vm.expectRevert(open);
        vm.prank(drawn[0]);
        cognitive.commit(id, completionOf(drawn[0]), "", saltOf(drawn[0]));
        for (uint256 i = 1; i < 5; ++i) {
            precommitAs(id, drawn[i]);
        }
        vm.expectRevert(abi.encodeWithSelector(NetworkRequests.TooEarly.selector, height, height));
        vm.prank(drawn[0]);
        cognitive.commit(id, completionOf(drawn[0]), "", saltOf(drawn[0]));
        tick(1);
        commitAs(id, drawn[0]);
        vm.expectRevert(NetworkFlow.AlreadyDone.selector);
        vm.prank(drawn[0]);
        cognitive.commit(id, completionOf(drawn[0]), "", saltOf(drawn[0]));
    }

    function test_a_copied_hash_cannot_be_revealed() public {
        uint256 id = started();
        address[] memory drawn = network.get(id).miners;
        (address honest, address thief) = (drawn[0], drawn[1]);
        precommitAs(id, honest);
        bytes32 hash = network.get(id).completionHashes[0];
        vm.prank(thief);
        cognitive.precommit(id, hash, "", 0);
        for (uint256 i = 2; i < 5; ++i) {
            precommitAs(id, drawn[i]);
        }
        tick(1);
        commitAs(id, honest);
        bytes32 own = network.completionHash(id, thief, completionOf(honest), saltOf(honest));
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.HashMismatch.selector, own, hash));
        vm.prank(thief);
        cognitive.commit(id, completionOf(honest), "", saltOf(honest));
    }

    function test_who_has_not_precommitted_cannot_reveal_and_pays_for_it() public {
        uint256 id = started();
        address[] memory drawn = network.get(id).miners;
        precommitAs(id, drawn[0]);
        precommitAs(id, drawn[1]);
        vm.expectRevert(abi.encodeWithSelector(NetworkRequests.TooEarly.selector, time, time + 120));
        cognitive.endPrecommit(id);
        tick(WINDOW);
        vm.expectRevert(abi.encodeWithSelector(NetworkRequests.TooLate.selector, time, time - 1));
        vm.prank(drawn[2]);
        cognitive.precommit(id, bytes32(uint256(1)), "", 0);
        cognitive.endPrecommit(id);
        tick(1);
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.NotPrecommitted.selector, drawn[2]));
        vm.prank(drawn[2]);
        cognitive.commit(id, "x", "", 1);
        commitAs(id, drawn[0]);
        tick(61);
        vm.expectRevert(abi.encodeWithSelector(NetworkRequests.TooLate.selector, time, time - 2));
        vm.prank(drawn[1]);
        cognitive.commit(id, completionOf(drawn[1]), "", saltOf(drawn[1]));
        cognitive.end(id, true);
        assertEq(network.getSessionState(id), uint256(NetworkState.Commit), "one answer is enough to judge");
        judgeAll(id, 10_000);
        assertEq(reputation.stagePointsOf(drawn[1], NodeStage.Commit), -5, "silence after the precommit");
        assertEq(reputation.stagePointsOf(drawn[2], NodeStage.Precommit), -3, "no precommit");
    }

    function test_a_session_that_nobody_answers_ends() public {
        uint256 id = started();
        tick(WINDOW);
        cognitive.end(id, true);
        assertEq(network.getSessionState(id), uint256(NetworkState.End), "nobody precommitted");
        pingAll(5);
        id = precommitted();
        tick(61);
        cognitive.end(id, true);
        assertEq(network.getSessionState(id), uint256(NetworkState.End), "nobody revealed");
    }

    function test_signed_steps_are_relayed_in_batches() public {
        uint256 id = started();
        address[] memory drawn = network.get(id).miners;
        uint256 seed = network.getSessionSeed(id);
        NetworkPrecommit[] memory items = new NetworkPrecommit[](5);
        NetworkCommit[] memory reveals = new NetworkCommit[](5);
        bytes[] memory signatures = new bytes[](5);
        bytes[] memory revealSignatures = new bytes[](5);
        for (uint256 i; i < 5; ++i) {
            bytes32 hash = network.completionHash(id, drawn[i], completionOf(drawn[i]), saltOf(drawn[i]));
            items[i] = NetworkPrecommit(id, seed, hash);
            signatures[i] = signPrecommit(items[i], keyOf(drawn[i]));
            reveals[i] = NetworkCommit(id, seed, completionOf(drawn[i]), saltOf(drawn[i]));
            revealSignatures[i] = signCommit(reveals[i], keyOf(drawn[i]));
        }
        // A stranger's signature is skipped, and the others count.
        bytes memory good = signatures[2];
        signatures[2] = signPrecommit(items[2], 0x7e1f);
        vm.recordLogs();
        vm.startPrank(relayer);
        cognitive.relayPrecommits(items, signatures);
        bytes memory reason = abi.encodeWithSelector(NetworkFlow.NotDrawn.selector, vm.addr(0x7e1f));
        assertEq(keccak256(skipped()), keccak256(reason), "skipped");
        cognitive.precommit(id, items[2].hash, good, seed);
        tick(1);
        cognitive.relayCommits(reveals, revealSignatures);
        vm.stopPrank();
        assertEq(network.getSessionState(id), uint256(NetworkState.Commit), "all revealed");
    }

    function test_a_signature_is_of_no_use_in_another_session() public {
        uint256 id = started();
        address node = network.get(id).miners[0];
        NetworkPrecommit memory item = NetworkPrecommit(id, 1, bytes32(uint256(7)));
        bytes memory signature = signPrecommit(item, keyOf(node)); // of another seed: a fork's session
        vm.expectPartialRevert(NetworkFlow.NotDrawn.selector);
        cognitive.precommit(id, item.hash, signature, 0);
    }

    function test_lists_of_different_lengths_are_refused() public {
        vm.expectRevert(abi.encodeWithSelector(CallBatching.LengthsDiffer.selector, 1, 0));
        cognitive.relayPrecommits(new NetworkPrecommit[](1), new bytes[](0));
        vm.expectRevert(abi.encodeWithSelector(CallBatching.LengthsDiffer.selector, 1, 0));
        cognitive.relayCommits(new NetworkCommit[](1), new bytes[](0));
    }

    // ---------------------------------------------------------------- words of this test

    function signPrecommit(NetworkPrecommit memory m, uint256 key) private view returns (bytes memory) {
        bytes32 typeHash = keccak256("NetworkPrecommit(uint256 id,uint256 seed,bytes32 hash)");
        return signedFor(address(cognitive), key, keccak256(abi.encode(typeHash, m.id, m.seed, m.hash)));
    }

    function signCommit(NetworkCommit memory m, uint256 key) private view returns (bytes memory) {
        bytes32 typeHash = keccak256("NetworkCommit(uint256 id,uint256 seed,string completion,uint256 salt)");
        bytes32 text = keccak256(bytes(m.completion));
        return signedFor(address(cognitive), key, keccak256(abi.encode(typeHash, m.id, m.seed, text, m.salt)));
    }
}
