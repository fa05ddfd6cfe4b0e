// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

import {NodePool, NodeState} from "../src/node/NodePool.sol";
import {RoleGuarded} from "../src/common/Roles.sol";
import {SessionPayment} from "../src/money/SessionPayment.sol";
import {Submission} from "../src/task/TaskTypes.sol";
import {Network} from "./Network.sol";

/// @dev A token that keeps a tenth of every transfer and, when told to, calls back in the middle of one.
contract HostileToken is ERC20("Hostile", "BAD") {
    address private target;
    bytes private call;
    bytes public answer;

    constructor() {
        _mint(msg.sender, 1e27);
    }

    function arm(address target_, bytes calldata call_) external {
        (target, call) = (target_, call_);
    }

    function _update(address from, address to, uint256 value) internal override {
        if (from == address(0)) return super._update(from, to, value);
        super._update(from, to, value - value / 10);
        if (value >= 10) super._update(from, address(0xdead), value / 10);
        if (target == address(0)) return;
        (address armed, bytes memory data) = (target, call);
        target = address(0);
        (, answer) = armed.call(data);
    }
}

/// @dev Money behaves whatever the token does, and intake can be paused while withdrawing cannot.
contract HostileTest is Network {
    HostileToken private bad;
    SessionPayment private escrow;
    NodePool private nodes;

    function setUp() public {
        deployNetwork();
        bad = new HostileToken();
        escrow = deployPayment(roles, bad);
        nodes = NodePool(deploy("NodePool", abi.encode(roles, bad)));
        vm.prank(admin);
        escrow.setSession(session);
        bad.approve(address(escrow), type(uint256).max);
        bad.approve(address(nodes), type(uint256).max);
        nodes.register();
    }

    function test_what_arrived_is_credited_not_what_was_sent() public {
        uint256 sessionId = openSession(1);
        escrow.depositToSession(sessionId, 1_000);
        assertEq(escrow.sessionBalance(sessionId), 900, "after the fee");
        assertEq(bad.balanceOf(address(escrow)), 900, "and it is there");
        nodes.stake(address(this), 1_000);
        (uint256 staked,,) = nodes.stakeOf(address(this));
        assertEq(staked, 900, "stake");
        assertEq(bad.balanceOf(address(nodes)), nodes.totalStaked(), "backed");
    }

    function test_a_token_that_calls_back_is_not_counted_twice() public {
        uint256 sessionId = openSession(1);
        bytes memory again = abi.encodeCall(SessionPayment.depositToSession, (sessionId, 100));
        bad.arm(address(escrow), again);
        escrow.depositToSession(sessionId, 1_000);
        assertRefusedReentry();
        assertEq(escrow.sessionBalance(sessionId), 900, "once");
        bad.arm(address(nodes), abi.encodeCall(NodePool.stake, (address(this), 100)));
        nodes.stake(address(this), 1_000);
        assertRefusedReentry();
        assertEq(nodes.totalStaked(), 900, "once");
    }

    function test_a_receiver_that_calls_back_withdraws_once() public {
        uint256 sessionId = openSession(1);
        escrow.depositToSession(sessionId, 1_000);
        bytes memory again = abi.encodeCall(SessionPayment.withdrawFromSession, (sessionId, 450));
        bad.arm(address(escrow), again);
        vm.prank(client);
        escrow.withdrawFromSession(sessionId, 450);
        assertRefusedReentry();
        assertEq(escrow.sessionBalance(sessionId), 450, "once");

        nodes.stake(address(this), 1_000);
        nodes.unbond(address(this), 900);
        vm.warp(START + 7 days);
        bad.arm(address(nodes), abi.encodeCall(NodePool.withdrawStake, (address(this))));
        nodes.withdrawStake(address(this));
        assertRefusedReentry();
        assertEq(nodes.totalUnbonding(), 0, "once");
        assertEq(bad.balanceOf(address(nodes)), 0, "and no more");
    }

    function test_a_transfer_that_brings_nothing_is_refused() public {
        uint256 sessionId = openSession(1);
        vm.expectRevert(SessionPayment.ZeroAmount.selector);
        escrow.depositToSession(sessionId, 0);
        vm.expectRevert(SessionPayment.ZeroAmount.selector);
        vm.prank(client);
        escrow.withdrawFromSession(sessionId, 0);
    }

    // ---------------------------------------------------------------- pause

    function test_paused_intake_takes_nothing_in_and_keeps_nobodys_money() public {
        (uint256 sessionId, uint256 taskId) = assignedTask(1);
        vm.expectPartialRevert(RoleGuarded.MissingRole.selector);
        session.pauseIntake();
        vm.prank(admin);
        session.pauseIntake();

        vm.startPrank(client);
        vm.expectRevert(Pausable.EnforcedPause.selector);
        session.create("", "", client, 1, 1, 1, 0, 0, false, 0, MODEL, 0, 0);
        vm.expectRevert(Pausable.EnforcedPause.selector);
        session.submit(sessionId, 0, "x", 1, "", llmParams(), requestParams(), "");
        vm.stopPrank();
        vm.prank(router);
        vm.expectRevert(Pausable.EnforcedPause.selector);
        session.relaySubmissions(new Submission[](0));

        // What runs goes on, and everybody gets out what is theirs.
        precommit(sessionId, taskId, 0);
        commit(sessionId, taskId, 0);
        judge(sessionId, taskId, 1, 10_000);
        payment.withdrawNodePaymentFor(miner(0));
        uint256 free = payment.sessionBalance(sessionId);
        vm.prank(client);
        payment.withdrawFromSession(sessionId, free);
        assertEq(token.balanceOf(address(payment)), 0, "all is out");

        vm.expectPartialRevert(RoleGuarded.MissingRole.selector);
        session.unpauseIntake();
        vm.prank(admin);
        session.unpauseIntake();
        openSession(1);
    }

    function test_ether_and_unknown_calls_are_refused() public {
        (bool sent,) = address(queue).call{value: 1}("");
        assertTrue(!sent, "no ether");
        (sent,) = address(queue).call(hex"12345678");
        assertTrue(!sent, "no such function");
    }

    function assertRefusedReentry() private view {
        bytes memory refusal = abi.encodePacked(ReentrancyGuard.ReentrancyGuardReentrantCall.selector);
        assertEq(keccak256(bad.answer()), keccak256(refusal), "re-entry is refused");
    }
}
