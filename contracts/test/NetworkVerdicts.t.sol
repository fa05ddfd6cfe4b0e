// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {NetworkFlow} from "../src/network/NetworkFlow.sol";
import {NetworkLedger} from "../src/network/NetworkLedger.sol";
import {NetworkRequests} from "../src/network/NetworkRequests.sol";
import {NetworkState} from "../src/network/NetworkTypes.sol";
import {RoleGuarded, RoleIds} from "../src/common/Roles.sol";
import {IdleNetwork} from "./IdleNetwork.sol";

/// @dev How network tasks are judged and end, and where the next one's seed comes from.
contract NetworkVerdictsTest is IdleNetwork {
    function setUp() public {
        deployIdleNetwork();
        nextEpoch();
        pingAll(5);
    }

    // ---------------------------------------------------------------- verdict and end

    function test_only_validators_judge_and_only_what_is_revealed() public {
        uint256 id = precommitted();
        address[] memory drawn = network.get(id).miners;
        uint256[] memory accuracies = new uint256[](5);
        vm.expectRevert(
            abi.encodeWithSelector(NetworkFlow.WrongState.selector, NetworkState.Precommit, NetworkState.Commit)
        );
        vm.prank(validator);
        cognitive.judge(id, accuracies, "");
        commitAs(id, drawn[0]);
        tick(61);
        cognitive.end(id, true);
        vm.expectRevert(
            abi.encodeWithSelector(RoleGuarded.MissingRole.selector, drawn[0], RoleIds.VALIDATOR)
        );
        vm.prank(drawn[0]);
        cognitive.judge(id, accuracies, "");
        vm.startPrank(validator);
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.WrongNumber.selector, 4, 5));
        cognitive.judge(id, new uint256[](4), "");
        accuracies[0] = 10_001;
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.VerdictTooLarge.selector, 10_001, 10_000));
        cognitive.judge(id, accuracies, "");
        (accuracies[0], accuracies[1]) = (10_000, 1);
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.VerdictTooLarge.selector, 1, 0));
        cognitive.judge(id, accuracies, "");
        vm.stopPrank();
    }

    function test_a_validators_signature_judges() public {
        uint256 id = committed();
        uint256[] memory accuracies = accuraciesFor(id, 8_000);
        bytes32 typeHash = keccak256("NetworkVerdict(uint256 id,uint256 seed,uint256[] accuraciesBps)");
        bytes32 list = keccak256(abi.encodePacked(accuracies));
        bytes32 structHash = keccak256(abi.encode(typeHash, id, network.getSessionSeed(id), list));
        bytes memory signature = signedFor(address(cognitive), VALIDATOR_KEY, structHash);
        vm.prank(relayer);
        cognitive.judge(id, accuracies, signature);
        assertEq(network.get(id).validators[0], validator, "validator");
    }

    function test_without_a_verdict_the_session_ends_unpaid() public {
        uint256 id = committed();
        vm.expectRevert(
            abi.encodeWithSelector(NetworkFlow.WrongState.selector, NetworkState.Commit, NetworkState.End)
        );
        cognitive.end(id, false);
        vm.expectRevert(abi.encodeWithSelector(NetworkRequests.TooEarly.selector, time, time + 120));
        cognitive.end(id, true);
        tick(WINDOW);
        vm.expectRevert(abi.encodeWithSelector(NetworkRequests.TooLate.selector, time, time - 1));
        vm.prank(validator);
        cognitive.judge(id, new uint256[](5), "");
        cognitive.end(id, true);
        (,,, uint256 points) = rewards.getEpoch(rewards.currentEpoch());
        assertEq(points, 0, "nobody is credited");
        vm.expectRevert(NetworkFlow.AlreadyEnded.selector);
        cognitive.end(id, false);
    }

    function test_what_does_not_exist_is_not_found() public {
        bytes memory none = abi.encodeWithSelector(NetworkLedger.SessionNotFound.selector, 1);
        vm.expectRevert(none);
        cognitive.start(1);
        vm.expectRevert(none);
        network.get(1);
        vm.expectRevert(abi.encodeWithSelector(NetworkLedger.SessionNotFound.selector, 0));
        cognitive.requestNextPreparer();
        vm.expectRevert(abi.encodeWithSelector(NetworkRequests.NoOpenRequest.selector, 0));
        cognitive.requestNextCreator();
        assertTrue(!network.isRequestState(), "no request");
    }

    // ---------------------------------------------------------------- the seed

    function test_the_next_seed_comes_of_salts_and_a_block_that_nobody_knew_with_them() public {
        uint256 id = precommitted();
        uint256 closedIn = height - 1;
        allCommitted(id);
        judgeAll(id, 10_000);
        cognitive.request();
        assertEq(network.getRequest(2).seed, seedAfter(id, closedIn), "seed");
        assertEq(network.getRequest(2).drawBlock, 0, "drawn at once");
    }

    function test_who_comes_after_the_freeze_is_not_drawn() public {
        uint256 id = precommitted();
        enrol(miner(9));
        pingAs(miner(9));
        address[] memory drawn = network.get(id).miners;
        for (uint256 i; i < 5; ++i) {
            commitAs(id, drawn[i]);
        }
        judgeAll(id, 10_000);
        uint256 second = started();
        assertEq(network.get(second).miners.length, 5, "the five that were there");
        address[] memory again = network.get(second).miners;
        for (uint256 i; i < 5; ++i) {
            assertTrue(again[i] != miner(9), "not the newcomer");
        }
    }

    function test_an_old_seed_is_mixed_with_a_fresh_block() public {
        judgeAll(committed(), 10_000);
        tick(16 minutes);
        pingAll(5);
        cognitive.request();
        assertTrue(network.getRequest(2).drawBlock != 0, "awaits its block");
        assertTrue(network.getRequest(2).seed != 0, "keeps the old seed");
        uint256 old = network.getRequest(2).seed;
        tick(1);
        tick(1);
        cognitive.requestNextCreator();
        bytes32 hash = blockhash(height - 1);
        assertEq(network.getRequest(2).seed, uint256(keccak256(abi.encode(old, 2, hash))), "mixed");
    }
}
