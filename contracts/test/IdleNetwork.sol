// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {Cognitive} from "../src/network/Cognitive.sol";
import {NetworkLedger} from "../src/network/NetworkLedger.sol";
import {NetworkRewards} from "../src/money/NetworkRewards.sol";
import {NetworkPhase, NetworkSessionView} from "../src/network/NetworkTypes.sol";
import {NetworkViews} from "../src/network/NetworkViews.sol";
import {NodeReputation} from "../src/node/NodeReputation.sol";
import {NodeStats} from "../src/node/NodeStats.sol";
import {Network} from "./Network.sol";
import {Log} from "./Vm.sol";

interface BlockVm {
    function roll(uint256 number) external;
    function setBlockhash(uint256 number, bytes32 hash) external;
}

/// @dev The deployed network with network tasks, and their steps in short words.
abstract contract IdleNetwork is Network {
    uint256 internal constant EPOCH = 1 days;
    uint256 internal constant BUDGET = 1e21;
    uint256 internal constant FUNDS = 1e23;
    uint256 internal constant WINDOW = 121; // longer than any stage lasts

    NodeStats internal stats;
    NodeReputation internal reputation;
    NetworkRewards internal rewards;
    Cognitive internal cognitive;
    /// @dev The same contract: see NetworkViews.
    NetworkViews internal network;

    // The optimiser takes the time and the block's number for constants, so tests keep their own.
    uint256 internal time;
    uint256 internal height;

    function deployIdleNetwork() internal {
        deployNetwork();
        // The middle of an epoch, so that a round does not cross its end.
        (time, height) = (START / EPOCH * EPOCH + EPOCH / 2, 1000);
        tick(0);
        stats = NodeStats(deploy("NodeStats", abi.encode(roles)));
        reputation = NodeReputation(deploy("NodeReputation", abi.encode(roles)));
        rewards = deployRewards(token, EPOCH);
        address views = deploy("NetworkViews", "");
        cognitive =
            Cognitive(deploy("Cognitive", abi.encode(roles, pool, stats, reputation, rewards, views)));
        network = NetworkViews(address(cognitive));
        vm.startPrank(admin);
        roles.grantRole(roles.MODULE_ROLE(), address(cognitive));
        rewards.setEpochBudget(BUDGET);
        vm.stopPrank();
        fundRewards(FUNDS);
    }

    function deployRewards(IERC20 token_, uint256 epochSeconds) internal returns (NetworkRewards) {
        return NetworkRewards(deploy("NetworkRewards", abi.encode(roles, token_, epochSeconds)));
    }

    function fundRewards(uint256 amount) internal {
        vm.startPrank(treasury);
        token.approve(address(rewards), amount);
        rewards.fund(amount);
        vm.stopPrank();
    }

    /// @dev The next block, some seconds later.
    function tick(uint256 seconds_) internal {
        (time, height) = (time + seconds_, height + 1);
        vm.warp(time);
        BlockVm(address(vm)).roll(height);
    }

    /// @dev The first epoch with a budget is the one after the deployment.
    function nextEpoch() internal {
        tick(EPOCH);
    }

    // ---------------------------------------------------------------- the steps of a round

    function pingAs(address node) internal {
        vm.prank(node);
        cognitive.ping();
    }

    function pingAll(uint256 count) internal {
        for (uint256 i; i < count; ++i) {
            pingAs(miner(i));
        }
        tick(1); // who comes in the second of a freeze is too late for it
    }

    /// @dev A request whose creators are drawn; the first one's turn.
    function requested() internal returns (uint256 requestId) {
        vm.prank(relayer);
        cognitive.request();
        requestId = cognitive.requestCounter();
        if (network.getRequest(requestId).drawBlock == 0) return requestId;
        tick(1);
        tick(1);
        cognitive.requestNextCreator();
    }

    function created() internal returns (uint256 id) {
        requested();
        vm.prank(creator());
        id = cognitive.create("science", "optics");
    }

    function prepared() internal returns (uint256 id) {
        id = created();
        prepareAll(id);
    }

    function prepareAll(uint256 id) internal {
        while (network.getSessionState(id) == 1) {
            prepareNext(id);
        }
    }

    function started() internal returns (uint256 id) {
        id = prepared();
        cognitive.start(id);
    }

    function precommitted() internal returns (uint256 id) {
        id = started();
        allPrecommitted(id);
    }

    function committed() internal returns (uint256 id) {
        id = precommitted();
        allCommitted(id);
    }

    function allPrecommitted(uint256 id) internal {
        address[] memory drawn = network.get(id).miners;
        for (uint256 i; i < drawn.length; ++i) {
            precommitAs(id, drawn[i]);
        }
        tick(1);
    }

    function allCommitted(uint256 id) internal {
        address[] memory drawn = network.get(id).miners;
        for (uint256 i; i < drawn.length; ++i) {
            commitAs(id, drawn[i]);
        }
    }

    /// @dev The next task's seed, when all who were drawn have revealed, and the block in which precommits closed.
    function seedAfter(uint256 id, uint256 closedIn) internal view returns (uint256) {
        address[] memory drawn = network.get(id).miners;
        bytes32 salts;
        for (uint256 i; i < drawn.length; ++i) {
            salts ^= keccak256(abi.encode(drawn[i], saltOf(drawn[i])));
        }
        return uint256(keccak256(abi.encode(network.getSessionSeed(id), blockhash(closedIn), salts)));
    }

    function prepareNext(uint256 id) internal {
        vm.prank(preparer(id));
        cognitive.prepare(id, prompts(2), "", 0);
    }

    function precommitAs(uint256 id, address node) internal {
        bytes32 hash = network.completionHash(id, node, completionOf(node), saltOf(node));
        vm.prank(node);
        cognitive.precommit(id, hash, "", 0);
    }

    function commitAs(uint256 id, address node) internal {
        vm.prank(node);
        cognitive.commit(id, completionOf(node), "", saltOf(node));
    }

    function judgeAll(uint256 id, uint256 accuracyBps) internal {
        uint256[] memory accuracies = accuraciesFor(id, accuracyBps);
        vm.prank(validator);
        cognitive.judge(id, accuracies, "");
    }

    /// @dev The same for all who have revealed, 0 for the others.
    function accuraciesFor(uint256 id, uint256 accuracyBps) internal view returns (uint256[] memory accuracies) {
        address[] memory drawn = network.get(id).miners;
        accuracies = new uint256[](drawn.length);
        for (uint256 i; i < drawn.length; ++i) {
            if (network.alreadyCommitted(id, drawn[i])) accuracies[i] = accuracyBps;
        }
    }

    // ---------------------------------------------------------------- who and what

    function creator() internal view returns (address) {
        NetworkLedger.CreationRequest memory r = network.getRequest(cognitive.requestCounter());
        return r.creators[r.asked];
    }

    function preparer(uint256 id) internal view returns (address) {
        NetworkSessionView memory s = network.get(id);
        return s.preparers[s.preparerIndex];
    }

    /// @dev What follows the first phase: as many phases, all alike but for the instruction.
    function planOf(uint256 count, uint256 quorum, uint256 precommitSeconds)
        internal
        pure
        returns (NetworkPhase[] memory phases)
    {
        phases = new NetworkPhase[](count);
        for (uint256 i; i < count; ++i) {
            phases[i] = NetworkPhase(i % 2 == 0 ? "Improve this:" : ADDRESS_OF_PROMPT, quorum, precommitSeconds);
        }
    }

    function prompts(uint256 count) internal pure returns (string[] memory list) {
        list = new string[](count);
        for (uint256 i; i < count; ++i) {
            list[i] = i == 0 ? "Why is the sky blue?" : ADDRESS_OF_PROMPT;
        }
    }

    function completionOf(address node) internal pure returns (string memory) {
        return uint160(node) % 2 == 0 ? "Rayleigh scattering." : ADDRESS_OF_PROMPT;
    }

    function saltOf(address node) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode("salt", node)));
    }

    function keyOf(address node) internal pure returns (uint256) {
        uint256 i;
        while (miner(i) != node) ++i;
        return minerKey(i);
    }

    /// @dev The data of the only element that was skipped; empty when none was.
    function skipped() internal returns (bytes memory reason) {
        Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i; i < logs.length; ++i) {
            if (logs[i].topics[0] != keccak256("RelaySkipped(bytes32,uint256,bytes)")) continue;
            (, reason) = abi.decode(logs[i].data, (uint256, bytes));
        }
    }
}
