// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {NetworkPhases} from "../src/network/NetworkPhases.sol";
import {NetworkRequests} from "../src/network/NetworkRequests.sol";
import {NetworkPhase} from "../src/network/NetworkTypes.sol";
import {IdleNetwork} from "./IdleNetwork.sol";

/// @dev What a creator may plan beyond a task's first phase, and who may send the plan.
contract NetworkPlansTest is IdleNetwork {
    function setUp() public {
        deployIdleNetwork();
        nextEpoch();
        pingAll(5);
    }

    function test_plans_have_bounds() public {
        requested();
        vm.startPrank(creator());
        refuse(planOf(0, 1, 60), outOfRange("phases", 0, 1, 3));
        refuse(planOf(4, 1, 60), outOfRange("phases", 4, 1, 3));
        refuse(planOf(1, 0, 60), outOfRange("quorum", 0, 1, 5));
        refuse(planOf(1, 6, 60), outOfRange("quorum", 6, 1, 5));
        refuse(planOf(1, 1, 29), outOfRange("precommitSeconds", 29, 30, 600));
        refuse(planOf(1, 1, 601), outOfRange("precommitSeconds", 601, 30, 600));
        NetworkPhase[] memory phases = planOf(1, 1, 60);
        phases[0].instruction = "";
        refuse(phases, abi.encodePacked(NetworkPhases.EmptyText.selector));
        phases[0].instruction = string(new bytes(1_025));
        refuse(phases, abi.encodeWithSelector(NetworkPhases.TextTooLong.selector, 1_025, 1_024));
        vm.stopPrank();
        assertEq(network.getLatestSessionId(), 0, "no session");
    }

    function test_only_the_creator_whose_turn_it_is_plans_and_anyone_may_relay_for_it() public {
        uint256 requestId = requested();
        address maker = creator();
        NetworkPhase[] memory phases = planOf(2, 2, 90);
        vm.expectRevert(abi.encodeWithSelector(NetworkRequests.NotAsked.selector, relayer, maker));
        vm.prank(relayer);
        cognitive.createPhased("science", "optics", phases, "");
        bytes memory signature = signPlan(requestId, phases, keyOf(maker));
        vm.prank(relayer);
        uint256 id = cognitive.createPhased("science", "optics", phases, signature);
        assertEq(network.get(id).creator, maker, "creator");
        assertEq(network.getPhase(id, 2).precommitSeconds, 90, "plan");
        assertEq(network.getPhase(id, 2).instruction, ADDRESS_OF_PROMPT, "instruction");
    }

    // ---------------------------------------------------------------- words of this test

    function refuse(NetworkPhase[] memory phases, bytes memory refusal) private {
        vm.expectRevert(refusal);
        cognitive.createPhased("science", "optics", phases, "");
    }

    function outOfRange(bytes32 field, uint256 value, uint256 least, uint256 most)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(NetworkPhases.PhaseOutOfRange.selector, field, value, least, most);
    }

    /// @dev EIP-712 written out, independently of the contracts' library.
    function signPlan(uint256 requestId, NetworkPhase[] memory phases, uint256 key)
        private
        view
        returns (bytes memory)
    {
        bytes memory phaseType = "NetworkPhase(string instruction,uint256 quorum,uint256 precommitSeconds)";
        bytes32 typeHash = keccak256(
            bytes.concat(
                "NetworkCreatePhased(uint256 requestId,uint256 seed,string domain,string subdomain,",
                "NetworkPhase[] phases)",
                phaseType
            )
        );
        bytes memory list;
        for (uint256 i; i < phases.length; ++i) {
            bytes32 instruction = keccak256(bytes(phases[i].instruction));
            bytes32 item = keccak256(
                abi.encode(keccak256(phaseType), instruction, phases[i].quorum, phases[i].precommitSeconds)
            );
            list = bytes.concat(list, item);
        }
        uint256 seed = network.getRequest(requestId).seed;
        bytes32 structHash = keccak256(
            abi.encode(typeHash, requestId, seed, keccak256("science"), keccak256("optics"), keccak256(list))
        );
        return signedFor(address(cognitive), key, structHash);
    }
}
