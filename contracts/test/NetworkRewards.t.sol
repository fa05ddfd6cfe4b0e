// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

import {Credit, NetworkRewards} from "../src/money/NetworkRewards.sol";
import {RoleGuarded} from "../src/common/Roles.sol";
import {IdleNetwork} from "./IdleNetwork.sol";

/// @dev Keeps a tenth of every transfer, and calls back into the pool while it moves.
contract GreedyToken is ERC20 {
    NetworkRewards private target;
    bytes private call;
    bool public tried;
    bytes public refusal;

    constructor() ERC20("Greedy", "GRD") {
        _mint(msg.sender, 1e24);
    }

    function attack(NetworkRewards target_, bytes calldata call_) external {
        (target, call, tried) = (target_, call_, false);
    }

    function _update(address from, address to, uint256 value) internal override {
        if (from == address(0)) return super._update(from, to, value);
        super._update(from, to, value - value / 10);
        super._update(from, address(0xfee), value / 10);
        if (address(target) == address(0)) return;
        tried = true;
        (, refusal) = address(target).call(call);
    }
}

contract NetworkRewardsTest is IdleNetwork {
    address private alice = address(0xa11ce);
    address private bob = address(0xb0b);
    address private carol = address(0xca401);

    function setUp() public {
        deployIdleNetwork();
        nextEpoch();
    }

    // ---------------------------------------------------------------- funding

    function test_anyone_funds_also_by_permit() public {
        uint256 key = 0x5eed;
        address donor = vm.addr(key);
        vm.prank(treasury);
        token.transfer(donor, 100);
        (uint8 v, bytes32 r, bytes32 s) = permit(key, donor, 100);
        vm.prank(donor);
        rewards.fundWithPermit(100, time, v, r, s);
        assertEq(rewards.totalFunded(), FUNDS + 100, "funded");
        assertSolventRewards();
    }

    function test_a_permit_that_was_sent_before_does_not_hinder() public {
        vm.startPrank(treasury);
        token.approve(address(rewards), 5);
        rewards.fundWithPermit(5, time, 27, 0, 0);
        vm.stopPrank();
        assertEq(rewards.totalFunded(), FUNDS + 5, "funded");
    }

    function test_nothing_is_no_funding() public {
        vm.expectRevert(NetworkRewards.ZeroAmount.selector);
        rewards.fund(0);
    }

    function test_an_epoch_has_a_least_length() public {
        vm.expectRevert(abi.encodeWithSelector(NetworkRewards.EpochTooShort.selector, 59, 60));
        deployRewards(token, 59);
    }

    // ---------------------------------------------------------------- budgets

    function test_a_running_epochs_budget_is_fixed() public {
        uint256 epoch = rewards.currentEpoch();
        vm.startPrank(admin);
        rewards.setEpochBudget(7);
        rewards.setEpochBudget(8);
        vm.stopPrank();
        (bool opened, uint256 budget,,) = rewards.getEpoch(epoch);
        assertTrue(!opened, "not yet");
        assertEq(budget, BUDGET, "as it was fixed before");
        rewards.openEpoch();
        rewards.openEpoch(); // once more does nothing
        (opened, budget,,) = rewards.getEpoch(epoch);
        assertTrue(opened, "opened");
        assertEq(budget, BUDGET, "budget");
        assertEq(rewards.totalOwed(), BUDGET, "set aside once");
        (, budget,,) = rewards.getEpoch(epoch + 1);
        assertEq(budget, 8, "the next one's");
        assertEq(rewards.plannedBudget(), 8, "the plan");
        nextEpoch();
        rewards.openEpoch();
        (, budget,,) = rewards.getEpoch(epoch + 1);
        assertEq(budget, 8, "in force");
        assertSolventRewards();
    }

    function test_an_epoch_gets_no_more_than_the_pool_has() public {
        vm.prank(admin);
        rewards.setEpochBudget(FUNDS * 2);
        nextEpoch();
        give(alice, 1);
        (, uint256 budget,,) = rewards.getEpoch(rewards.currentEpoch());
        assertEq(budget, FUNDS, "all there is");
        assertEq(rewards.totalPool(), 0, "empty");
        assertSolventRewards();
    }

    function test_an_epoch_without_points_returns_its_budget() public {
        rewards.openEpoch();
        nextEpoch();
        rewards.openEpoch();
        assertEq(rewards.totalOwed(), BUDGET, "only the new one's");
        assertSolventRewards();
    }

    function test_only_the_administrator_plans_and_only_modules_credit() public {
        vm.expectPartialRevert(RoleGuarded.MissingRole.selector);
        rewards.setEpochBudget(1);
        vm.expectPartialRevert(RoleGuarded.MissingRole.selector);
        rewards.credit(new Credit[](0));
    }

    // ---------------------------------------------------------------- claims

    function test_nodes_pull_their_share_once_the_epoch_is_over() public {
        uint256 epoch = rewards.currentEpoch();
        give(alice, 3);
        give(bob, 1);
        assertEq(rewards.rewardOf(epoch, alice), BUDGET * 3 / 4, "so far");
        vm.expectRevert(abi.encodeWithSelector(NetworkRewards.EpochNotOver.selector, epoch, epoch));
        vm.prank(alice);
        rewards.claim(list(epoch));
        nextEpoch();
        vm.prank(alice);
        rewards.claim(list(epoch));
        vm.prank(relayer);
        rewards.claimFor(bob, list(epoch));
        assertEq(token.balanceOf(alice), BUDGET * 3 / 4, "alice");
        assertEq(token.balanceOf(bob), BUDGET / 4, "bob");
        assertEq(rewards.totalPaid(), BUDGET, "paid");
        vm.expectRevert(abi.encodeWithSelector(NetworkRewards.NothingEarned.selector, epoch, alice));
        vm.prank(alice);
        rewards.claim(list(epoch));
        assertSolventRewards();
    }

    function test_what_rounding_leaves_returns_to_the_pool() public {
        vm.prank(admin);
        rewards.setEpochBudget(1000);
        nextEpoch();
        uint256 epoch = rewards.currentEpoch();
        uint256 before = rewards.totalPool();
        give(alice, 1);
        give(bob, 1);
        give(carol, 1);
        nextEpoch();
        rewards.claimFor(alice, list(epoch));
        rewards.claimFor(bob, list(epoch));
        assertEq(rewards.totalOwed(), 334, "carol's, and what rounding leaves");
        rewards.claimFor(carol, list(epoch));
        assertEq(token.balanceOf(carol), 333, "rounded down");
        assertEq(rewards.totalOwed(), 0, "nothing held");
        assertEq(rewards.totalPool(), before - 999, "one wei came back");
        assertSolventRewards();
    }

    function test_epochs_without_a_budget_pay_nothing() public {
        vm.prank(admin);
        rewards.setEpochBudget(0);
        nextEpoch();
        uint256 epoch = rewards.currentEpoch();
        give(alice, 1);
        nextEpoch();
        rewards.claimFor(alice, list(epoch));
        assertEq(token.balanceOf(alice), 0, "nothing");
        assertEq(rewards.rewardOf(epoch + 5, alice), 0, "no points, no reward");
    }

    function test_credits_have_a_bound_and_never_revert() public {
        give(alice, type(uint96).max);
        give(bob, 0);
        assertEq(rewards.pointsOf(rewards.currentEpoch(), alice), rewards.MAX_CREDIT(), "cut off");
        assertEq(rewards.pointsOf(rewards.currentEpoch(), bob), 0, "nothing");
    }

    function testFuzz_shares_never_exceed_the_budget(uint128 budget, uint32[8] calldata points) public {
        uint256 capped = bound(budget, 0, FUNDS);
        vm.prank(admin);
        rewards.setEpochBudget(capped);
        nextEpoch();
        uint256 epoch = rewards.currentEpoch();
        uint256 before = rewards.totalPool();
        for (uint256 i; i < 8; ++i) {
            give(address(uint160(0x1000 + i)), points[i]);
        }
        nextEpoch();
        uint256 sum;
        bool any;
        for (uint256 i; i < 8; ++i) {
            if (points[i] == 0) continue;
            any = true;
            address node = address(uint160(0x1000 + i));
            rewards.claimFor(node, list(epoch));
            sum += token.balanceOf(node);
        }
        assertTrue(sum <= capped, "within the budget");
        assertTrue(!any || capped - sum < 8, "less than a wei lost a node");
        if (any) assertEq(rewards.totalPool(), before - sum, "the rest is in the pool");
        assertSolventRewards();
    }

    // ---------------------------------------------------------------- bad tokens

    function test_a_token_that_takes_a_fee_and_calls_back_pays_once() public {
        GreedyToken greedy = new GreedyToken();
        rewards = deployRewards(greedy, EPOCH);
        vm.prank(admin);
        rewards.setEpochBudget(90);
        greedy.approve(address(rewards), 1000);
        rewards.fund(1000);
        assertEq(rewards.totalFunded(), 900, "what arrived counts");
        nextEpoch();
        uint256 epoch = rewards.currentEpoch();
        give(alice, 1);
        give(bob, 1);
        nextEpoch();
        greedy.attack(rewards, abi.encodeCall(rewards.claimFor, (bob, list(epoch))));
        rewards.claimFor(alice, list(epoch));
        assertTrue(greedy.tried(), "it tried");
        bytes32 guard = keccak256(abi.encodePacked(ReentrancyGuard.ReentrancyGuardReentrantCall.selector));
        assertEq(keccak256(greedy.refusal()), guard, "refused");
        greedy.approve(address(rewards), 100);
        greedy.attack(rewards, abi.encodeCall(rewards.fund, (1)));
        rewards.fund(100);
        assertEq(keccak256(greedy.refusal()), guard, "refused");
        assertEq(greedy.balanceOf(address(rewards)), rewards.totalPool() + rewards.totalOwed(), "solvent");
    }

    // ---------------------------------------------------------------- words of this test

    function give(address node, uint96 points) private {
        Credit[] memory credits = new Credit[](1);
        credits[0] = Credit(node, points);
        vm.prank(address(cognitive));
        rewards.credit(credits);
    }

    function list(uint256 epoch) private pure returns (uint256[] memory epochs) {
        epochs = new uint256[](1);
        epochs[0] = epoch;
    }

    function assertSolventRewards() private view {
        uint256 held = rewards.totalPool() + rewards.totalOwed();
        assertEq(token.balanceOf(address(rewards)), held, "tokens = pool + owed");
        assertEq(rewards.totalFunded(), held + rewards.totalPaid(), "funded = pool + owed + paid");
    }

    function permit(uint256 key, address owner, uint256 amount)
        private
        view
        returns (uint8 v, bytes32 r, bytes32 s)
    {
        bytes32 typeHash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 structHash = keccak256(abi.encode(typeHash, owner, address(rewards), amount, 0, time));
        bytes32 digest = keccak256(abi.encodePacked("\x19\x01", token.DOMAIN_SEPARATOR(), structHash));
        return vm.sign(key, digest);
    }
}
