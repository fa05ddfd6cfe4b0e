// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {NetworkCommit, NetworkPrecommit, NetworkState} from "../src/network/NetworkTypes.sol";
import {IdleNetwork} from "./IdleNetwork.sol";

interface GasVm {
    struct Gas {
        uint64 gasLimit;
        uint64 gasTotalUsed;
        uint64 gasMemoryUsed;
        int64 gasRefunded;
        uint64 gasRemaining;
    }

    function lastCallGas() external view returns (Gas memory gas);
}

/// @dev What a network task costs by stage with two preparers and five completers, in contracts/gas/network.json:
///      every step a transaction of its own, and the completers' steps relayed in one batch. It is not the first
///      task: counters, records and totals are not at zero.
contract NetworkGasTest is IdleNetwork {
    function setUp() public {
        deployIdleNetwork();
        nextEpoch();
        pingAll(5);
        judgeAll(committed(), 10_000);
    }

    /// forge-config: default.isolate = true
    function test_gas_of_a_network_task_by_stage() public {
        vm.prank(relayer);
        cognitive.request();
        uint256 total = record("1 request", used());
        address maker = creator();
        vm.prank(maker);
        uint256 id = cognitive.create("science", "optics");
        total += record("2 create", used());
        string[] memory challenges = prompts(1);
        uint256 gas;
        for (uint256 i; i < 2; ++i) {
            address writer = preparer(id);
            vm.prank(writer);
            cognitive.prepare(id, challenges, "", 0);
            gas += used();
        }
        total += record("3 prepare, two preparers", gas);
        cognitive.start(id);
        total += record("4 start", used());
        total += record("5 precommit, five completers", precommitAll(id));
        tick(1);
        total += record("6 commit, five completers", commitAll(id));
        judgeAll(id, 10_000);
        total += record("7 verdict and end", used());
        assertEq(network.getSessionState(id), uint256(NetworkState.End), "ended");
        record("total", total);
    }

    /// forge-config: default.isolate = true
    function test_gas_of_the_completers_steps_relayed() public {
        uint256 id = started();
        address[] memory drawn = network.get(id).miners;
        uint256 seed = network.getSessionSeed(id);
        NetworkPrecommit[] memory items = new NetworkPrecommit[](5);
        NetworkCommit[] memory reveals = new NetworkCommit[](5);
        bytes[] memory signatures = new bytes[](5);
        bytes[] memory revealSignatures = new bytes[](5);
        for (uint256 i; i < 5; ++i) {
            address node = drawn[i];
            bytes32 hash = network.completionHash(id, node, ADDRESS_OF_PROMPT, saltOf(node));
            items[i] = NetworkPrecommit(id, seed, hash);
            bytes32 precommitType = keccak256("NetworkPrecommit(uint256 id,uint256 seed,bytes32 hash)");
            signatures[i] = sign(node, keccak256(abi.encode(precommitType, id, seed, hash)));
            reveals[i] = NetworkCommit(id, seed, ADDRESS_OF_PROMPT, saltOf(node));
            bytes32 commitType = keccak256("NetworkCommit(uint256 id,uint256 seed,string completion,uint256 salt)");
            bytes32 text = keccak256(bytes(ADDRESS_OF_PROMPT));
            revealSignatures[i] = sign(node, keccak256(abi.encode(commitType, id, seed, text, saltOf(node))));
        }
        vm.startPrank(relayer);
        cognitive.relayPrecommits(items, signatures);
        record("5 precommit, five completers, relayed", used());
        tick(1);
        cognitive.relayCommits(reveals, revealSignatures);
        record("6 commit, five completers, relayed", used());
        vm.stopPrank();
        assertEq(network.getSessionState(id), uint256(NetworkState.Commit), "all revealed");
    }

    function precommitAll(uint256 id) private returns (uint256 gas) {
        address[] memory drawn = network.get(id).miners;
        for (uint256 i; i < 5; ++i) {
            bytes32 hash = network.completionHash(id, drawn[i], ADDRESS_OF_PROMPT, saltOf(drawn[i]));
            vm.prank(drawn[i]);
            cognitive.precommit(id, hash, "", 0);
            gas += used();
        }
    }

    function commitAll(uint256 id) private returns (uint256 gas) {
        address[] memory drawn = network.get(id).miners;
        for (uint256 i; i < 5; ++i) {
            vm.prank(drawn[i]);
            cognitive.commit(id, ADDRESS_OF_PROMPT, "", saltOf(drawn[i]));
            gas += used();
        }
    }

    function used() private view returns (uint256) {
        return GasVm(address(vm)).lastCallGas().gasTotalUsed;
    }

    function record(string memory stage, uint256 gas) private returns (uint256) {
        vm.snapshotValue("network", stage, gas);
        return gas;
    }

    function sign(address node, bytes32 structHash) private view returns (bytes memory) {
        return signedFor(address(cognitive), keyOf(node), structHash);
    }
}
