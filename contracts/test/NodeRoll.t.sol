// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {CallBatching} from "../src/common/CallBatching.sol";
import {Cognitive} from "../src/network/Cognitive.sol";
import {NetworkFlow} from "../src/network/NetworkFlow.sol";
import {Ping} from "../src/network/NetworkTypes.sol";
import {NodeRoll} from "../src/node/NodeRoll.sol";
import {RoleGuarded} from "../src/common/Roles.sol";
import {IdleNetwork} from "./IdleNetwork.sol";

contract NodeRollTest is IdleNetwork {
    function setUp() public {
        deployIdleNetwork();
    }

    function test_a_registered_node_puts_itself_on_the_roll() public {
        pingAs(miner(0));
        pingAs(miner(1));
        assertEq(cognitive.rollLength(), 2, "two");
        assertEq(cognitive.getRoll(1, 10)[0], miner(1), "a page at the end is short");
        assertEq(cognitive.getRoll(0, 1).length, 1, "a page");
        assertEq(cognitive.getRoll(2, 1).length, 0, "beyond the end");
        assertEq(cognitive.presenceOf(miner(0)).pingedAt, time, "pinged");
    }

    function test_nobody_else_does() public {
        vm.expectRevert(abi.encodeWithSelector(NodeRoll.NodeUnknown.selector, relayer));
        vm.prank(relayer);
        cognitive.ping();
    }

    function test_pings_have_an_interval() public {
        pingAs(miner(0));
        tick(59);
        vm.expectRevert(abi.encodeWithSelector(NodeRoll.PingTooSoon.selector, time, time + 1));
        vm.prank(miner(0));
        cognitive.ping();
        tick(1);
        pingAs(miner(0));
        assertEq(cognitive.rollLength(), 1, "on it once");
    }

    function test_who_was_away_counts_from_its_return() public {
        pingAs(miner(0));
        uint256 first = time;
        tick(15 minutes);
        pingAs(miner(0));
        assertEq(cognitive.presenceOf(miner(0)).since, first, "never away");
        tick(15 minutes + 1);
        pingAs(miner(0));
        assertEq(cognitive.presenceOf(miner(0)).since, time, "back");
    }

    // ---------------------------------------------------------------- signed pings

    function test_a_node_without_gas_signs_its_ping() public {
        Ping memory item = Ping(miner(0), time);
        bytes memory signature = sign(item, minerKey(0));
        tick(5);
        vm.prank(relayer);
        cognitive.relayPing(item, signature);
        assertEq(cognitive.presenceOf(miner(0)).pingedAt, time, "there");
        tick(60);
        vm.expectRevert(abi.encodeWithSelector(NodeRoll.PingTooSoon.selector, item.time, time - 60 + 1));
        cognitive.relayPing(item, signature);
    }

    function test_a_signed_ping_expires_and_is_its_signers_only() public {
        Ping memory item = Ping(miner(0), time);
        bytes memory signature = sign(item, minerKey(1));
        vm.expectRevert(abi.encodeWithSelector(Cognitive.WrongSigner.selector, miner(0), miner(1)));
        cognitive.relayPing(item, signature);
        tick(121);
        vm.expectRevert(abi.encodeWithSelector(Cognitive.PingExpired.selector, item.time, time));
        cognitive.relayPing(item, signature);
        item.time = time + 1;
        vm.expectRevert(abi.encodeWithSelector(Cognitive.PingExpired.selector, item.time, time));
        cognitive.relayPing(item, signature);
    }

    function test_pings_are_relayed_in_batches() public {
        Ping[] memory items = new Ping[](3);
        bytes[] memory signatures = new bytes[](3);
        for (uint256 i; i < 3; ++i) {
            items[i] = Ping(miner(i), time);
            signatures[i] = sign(items[i], minerKey(i == 1 ? 2 : i));
        }
        vm.recordLogs();
        cognitive.relayPings(items, signatures);
        bytes memory reason = abi.encodeWithSelector(Cognitive.WrongSigner.selector, miner(1), miner(2));
        assertEq(keccak256(skipped()), keccak256(reason), "the bad one is skipped");
        assertEq(cognitive.rollLength(), 2, "the others count");
        vm.expectRevert(abi.encodeWithSelector(CallBatching.LengthsDiffer.selector, 3, 0));
        cognitive.relayPings(items, new bytes[](0));
    }

    // ---------------------------------------------------------------- pruning and freezing

    function test_who_is_gone_can_be_taken_off() public {
        pingAll(2);
        tick(15 minutes + 1);
        pingAs(miner(2));
        address[] memory nodes = new address[](4);
        (nodes[0], nodes[1], nodes[2], nodes[3]) = (miner(0), miner(2), miner(4), miner(1));
        cognitive.prune(nodes);
        assertEq(cognitive.rollLength(), 1, "one left");
        assertEq(cognitive.getRoll(0, 1)[0], miner(2), "who is there");
        assertEq(cognitive.presenceOf(miner(2)).place, 1, "at its new place");
        pingAs(miner(0));
        assertEq(cognitive.presenceOf(miner(0)).place, 2, "gone ones may come back");
    }

    function test_nobody_is_taken_off_while_a_draw_depends_on_the_roll() public {
        pingAll(1);
        cognitive.request();
        vm.expectRevert(NodeRoll.RollFrozen.selector);
        cognitive.prune(new address[](0));
    }

    function test_who_was_there_at_the_freeze_cannot_drop_out() public {
        uint256 since = time;
        pingAll(1);
        tick(10 minutes);
        cognitive.request();
        tick(10 minutes); // miner 0's ping is too old by now
        tick(1);
        pingAs(miner(0));
        assertEq(cognitive.presenceOf(miner(0)).since, since, "still as it was");
        cognitive.requestNextCreator();
        assertEq(creator(), miner(0), "drawn");
    }

    function test_who_was_away_at_the_freeze_cannot_slip_in() public {
        pingAll(2);
        tick(16 minutes);
        enrol(miner(7));
        pingAs(miner(7));
        tick(1);
        cognitive.request();
        pingAs(miner(0));
        pingAs(miner(1));
        tick(1);
        tick(1);
        cognitive.requestNextCreator();
        assertEq(network.getRequest(1).creators.length, 1, "only one was there");
        assertEq(creator(), miner(7), "who was there");
    }

    /// @dev Five places of ten draws each: every node comes about as often as any other.
    function test_the_draw_favours_nobody() public {
        pingAll(5);
        uint256[5] memory drawn;
        for (uint256 round; round < 100; ++round) {
            tick(61);
            pingAll(5);
            requested();
            address first = creator();
            for (uint256 i; i < 5; ++i) {
                if (first == miner(i)) ++drawn[i];
            }
            for (uint256 i; i < 3; ++i) {
                tick(61);
                cognitive.requestNextCreator();
            }
        }
        for (uint256 i; i < 5; ++i) {
            // 20 expected, with a standard deviation of 4.
            assertTrue(drawn[i] >= 6 && drawn[i] <= 36, "about a fifth");
        }
    }

    // ---------------------------------------------------------------- selectRandomMiners, cooldown

    function test_a_trial_draw_changes_no_round() public {
        pingAll(5);
        requested();
        uint256 seed = network.getRequest(1).seed;
        assertEq(cognitive.selectRandomMiners(3, 0).length, 3, "three");
        assertEq(cognitive.selectRandomMiners(0, 0).length, 0, "none");
        assertEq(network.getRequest(1).seed, seed, "the round is as it was");
        vm.expectRevert(abi.encodeWithSelector(NetworkFlow.WrongNumber.selector, 6, 5));
        cognitive.selectRandomMiners(6, 0);
        vm.expectRevert(abi.encodeWithSelector(NodeRoll.CooldownTooLong.selector, 1 days + 1, 1 days));
        cognitive.selectRandomMiners(1, 1 days + 1);
    }

    function test_a_trial_draw_takes_gone_nodes_off_between_rounds() public {
        pingAll(1);
        requested();
        tick(61);
        cognitive.requestNextCreator(); // abandoned: the only node is late
        assertEq(cognitive.selectRandomMiners(5, 0).length, 1, "there at the freeze");
        assertEq(cognitive.rollLength(), 1, "and there now");
        tick(16 minutes);
        cognitive.selectRandomMiners(5, 0);
        assertEq(cognitive.rollLength(), 0, "gone");
        assertEq(cognitive.selectRandomMiners(5, 0).length, 0, "nobody is left");
    }

    function test_only_the_administrator_sets_the_cooldown_and_within_bounds() public {
        vm.expectPartialRevert(RoleGuarded.MissingRole.selector);
        cognitive.setMinerCooldownPeriod(1);
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(NodeRoll.CooldownTooLong.selector, 1 days + 1, 1 days));
        cognitive.setMinerCooldownPeriod(1 days + 1);
        cognitive.setMinerCooldownPeriod(90);
        vm.stopPrank();
        assertEq(cognitive.minerCooldownPeriod(), 90, "set");
        assertTrue(cognitive.isOracleNode(oracle) && !cognitive.isOracleNode(relayer), "who is an oracle");
    }

    function sign(Ping memory item, uint256 key) private view returns (bytes memory) {
        bytes32 typeHash = keccak256("Ping(address node,uint256 time)");
        return signedFor(address(cognitive), key, keccak256(abi.encode(typeHash, item.node, item.time)));
    }
}
