// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Part, Parts, NOWHERE, PART_BITS, PART_MASK, PARTS_A_WORD} from "../src/task/Board.sol";
import {Checks} from "./Vm.sol";

/// @dev What is read of all lanes of a word together is what they say one by one.
contract BoardTest is Checks {
    function testFuzz_a_survey_counts_what_each_part_says(uint256 seed) public pure {
        uint256 lanes = anyLanes(seed);
        uint256 taken;
        uint256 precommitted;
        uint256 committed;
        for (uint256 i; i < PARTS_A_WORD; ++i) {
            Part part = partAt(lanes, i);
            if (!part.isFree()) ++taken;
            if (part.hasPrecommitted()) ++precommitted;
            if (part.hasCommitted()) ++committed;
        }
        (, uint256 taken_, uint256 precommitted_, uint256 committed_) = Parts.survey(lanes, 1);
        assertEq(taken_, taken, "taken");
        assertEq(precommitted_, precommitted, "precommitted");
        assertEq(committed_, committed, "committed");
    }

    function testFuzz_a_miner_is_found_in_its_place(uint256 seed) public pure {
        uint256 lanes = anyLanes(seed);
        for (uint256 i; i < PARTS_A_WORD; ++i) {
            if (!partAt(lanes, i).isFree()) assertFoundAt(lanes, partAt(lanes, i).number(), i);
        }
    }

    function testFuzz_who_has_no_place_is_nowhere(uint256 seed, uint256 number) public pure {
        number = bound(number, 0, Parts.MAX_NUMBER);
        uint256 lanes = anyLanes(seed);
        for (uint256 i; i < PARTS_A_WORD; ++i) {
            if (number != 0 && partAt(lanes, i).number() == number) return;
        }
        assertFoundAt(lanes, number, NOWHERE);
    }

    function test_the_largest_number_is_found_in_the_last_place() public pure {
        uint256 lanes;
        for (uint256 i; i < PARTS_A_WORD; ++i) {
            lanes |= uint256(Part.unwrap(Parts.placed(Parts.MAX_NUMBER - i, true))) << (i * PART_BITS);
        }
        assertFoundAt(lanes, Parts.MAX_NUMBER, 0);
        assertFoundAt(lanes, Parts.MAX_NUMBER - 4, 4);
        assertFoundAt(lanes, 0, NOWHERE);
    }

    // ---------------------------------------------------------------- words of this test

    function assertFoundAt(uint256 lanes, uint256 number, uint256 place) private pure {
        (uint256 index,,,) = Parts.survey(lanes, number);
        assertEq(index, place, "in a survey");
        assertEq(Parts.laneOf(lanes, number), place, "by itself");
    }

    /// @dev None to five parts from the lowest lane on, of different miners, however far they have come.
    function anyLanes(uint256 seed) private pure returns (uint256 lanes) {
        uint256 count = seed % (PARTS_A_WORD + 1);
        for (uint256 i; i < count; ++i) {
            uint256 random = uint256(keccak256(abi.encode(seed, i)));
            uint256 number = bound(random, 1, Parts.MAX_NUMBER / 8) * 8 - i;
            uint256 rest = (random >> 128) & ((1 << 22) - 1);
            lanes |= ((number << 22) | rest) << (i * PART_BITS);
        }
    }

    function partAt(uint256 lanes, uint256 i) private pure returns (Part) {
        return Part.wrap(uint64((lanes >> (i * PART_BITS)) & PART_MASK));
    }
}
