// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {CortensorToken} from "../src/money/CortensorToken.sol";
import {Checks} from "./Vm.sol";

/// @dev A wallet that is a contract: it accepts what its owner's key has signed.
contract Wallet {
    address private immutable owner;

    constructor(address owner_) {
        owner = owner_;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        return ECDSA.recover(digest, signature) == owner ? this.isValidSignature.selector : bytes4(0);
    }
}

/// @dev Money that moves by its holder's signature (ERC-3009). The types are written out here once more.
contract TokenTest is Checks {
    uint256 private constant NOW = 1_750_000_000;
    uint256 private constant KEY = 0xfeed;
    uint256 private constant SUPPLY = 1e27;
    bytes32 private constant NONCE = keccak256("nonce");

    address private treasury = address(0x77);
    address private shop = address(0x54);
    address private relayer = address(0x4e);
    address private payer = vm.addr(KEY);

    CortensorToken private token;

    function setUp() public {
        vm.warp(NOW);
        token = deployToken(treasury);
        vm.prank(treasury);
        token.transfer(payer, 1_000);
    }

    // ---------------------------------------------------------------- transfers

    function testFuzz_a_signed_transfer_moves_the_amount_whoever_sends_it(uint256 value, bytes32 nonce, address sender)
        public
    {
        value = bound(value, 0, 1_000);
        bytes memory signature = signedTransfer(KEY, payer, value, NOW - 1, NOW + 1, nonce);
        vm.prank(sender);
        token.transferWithAuthorization(payer, shop, value, NOW - 1, NOW + 1, nonce, signature);
        assertEq(token.balanceOf(shop), value, "received");
        assertEq(token.balanceOf(payer), 1_000 - value, "paid");
        assertTrue(token.authorizationState(payer, nonce), "the nonce is used");
    }

    function testFuzz_it_moves_nothing_twice_in_either_form(bytes32 nonce) public {
        bytes memory signature = signedTransfer(KEY, payer, 10, 0, NOW + 1, nonce);
        (uint8 v, bytes32 r, bytes32 s) = parts(signature);
        token.transferWithAuthorization(payer, shop, 10, 0, NOW + 1, nonce, v, r, s);
        vm.expectRevert(usedUp(nonce));
        token.transferWithAuthorization(payer, shop, 10, 0, NOW + 1, nonce, signature);
        vm.expectRevert(usedUp(nonce));
        token.transferWithAuthorization(payer, shop, 10, 0, NOW + 1, nonce, v, r, s);
        assertEq(token.balanceOf(shop), 10, "once");
    }

    function testFuzz_a_nonce_serves_one_authorization_only(uint256 first, uint256 second) public {
        first = bound(first, 1, 500);
        second = bound(second, 1, 500);
        bytes memory one = signedTransfer(KEY, payer, first, 0, NOW + 1, NONCE);
        bytes memory other = signedTransfer(KEY, payer, second, 0, NOW + 2, NONCE);
        token.transferWithAuthorization(payer, shop, first, 0, NOW + 1, NONCE, one);
        vm.expectRevert(usedUp(NONCE));
        token.transferWithAuthorization(payer, shop, second, 0, NOW + 2, NONCE, other);
    }

    function testFuzz_it_counts_only_between_its_times(uint256 at, uint256 validAfter, uint256 validBefore) public {
        at = bound(at, 1, 1 << 40);
        validAfter = bound(validAfter, 0, 1 << 41);
        validBefore = bound(validBefore, 0, 1 << 41);
        vm.warp(at);
        bytes memory signature = signedTransfer(KEY, payer, 1, validAfter, validBefore, NONCE);
        bool counts = at > validAfter && at < validBefore;
        if (!counts) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    ERC3009.ERC3009InvalidAuthorizationTime.selector, validAfter, validBefore
                )
            );
        }
        token.transferWithAuthorization(payer, shop, 1, validAfter, validBefore, NONCE, signature);
        assertEq(token.balanceOf(shop), counts ? 1 : 0, "moved");
    }

    function testFuzz_nobody_else_can_sign_for_the_payer(uint256 key) public {
        key = bound(key, 1, 1 << 250);
        if (key == KEY) return;
        bytes memory signature = signedTransfer(key, payer, 1, 0, NOW + 1, NONCE);
        vm.expectRevert(ERC3009.ERC3009InvalidSignature.selector);
        token.transferWithAuthorization(payer, shop, 1, 0, NOW + 1, NONCE, signature);
        (uint8 v, bytes32 r, bytes32 s) = parts(signature);
        vm.expectRevert(ERC3009.ERC3009InvalidSignature.selector);
        token.transferWithAuthorization(payer, shop, 1, 0, NOW + 1, NONCE, v, r, s);
    }

    function testFuzz_a_signature_binds_recipient_amount_and_times(address to, uint256 value, uint256 validBefore)
        public
    {
        bytes memory signature = signedTransfer(KEY, payer, 5, 0, NOW + 9, NONCE);
        bool isSame = to == shop && value == 5 && validBefore == NOW + 9;
        if (isSame) return;
        vm.expectRevert(ERC3009.ERC3009InvalidSignature.selector);
        token.transferWithAuthorization(payer, to, value, 0, validBefore, NONCE, signature);
    }

    function testFuzz_bytes_that_are_no_signature_move_nothing(bytes calldata junk) public {
        vm.expectRevert(ERC3009.ERC3009InvalidSignature.selector);
        token.transferWithAuthorization(payer, shop, 1, 0, NOW + 1, NONCE, junk);
    }

    function test_it_counts_for_this_token_on_this_chain_only() public {
        bytes memory signature = signedTransfer(KEY, payer, 1, 0, NOW + 1, NONCE);
        CortensorToken other = deployToken(payer);
        vm.expectRevert(ERC3009.ERC3009InvalidSignature.selector);
        other.transferWithAuthorization(payer, shop, 1, 0, NOW + 1, NONCE, signature);
        vm.chainId(4242);
        vm.expectRevert(ERC3009.ERC3009InvalidSignature.selector);
        token.transferWithAuthorization(payer, shop, 1, 0, NOW + 1, NONCE, signature);
    }

    function test_who_has_too_little_keeps_the_nonce() public {
        bytes memory signature = signedTransfer(KEY, payer, 1_001, 0, NOW + 1, NONCE);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientBalance.selector, payer, 1_000, 1_001)
        );
        token.transferWithAuthorization(payer, shop, 1_001, 0, NOW + 1, NONCE, signature);
        assertTrue(!token.authorizationState(payer, NONCE), "not used");
    }

    function test_a_wallet_that_is_a_contract_pays_by_its_own_rule() public {
        address wallet = address(new Wallet(payer));
        vm.prank(treasury);
        token.transfer(wallet, 7);
        bytes memory signature = signedTransfer(KEY, wallet, 7, 0, NOW + 1, NONCE);
        token.transferWithAuthorization(wallet, shop, 7, 0, NOW + 1, NONCE, signature);
        assertEq(token.balanceOf(shop), 7, "paid by the wallet");
        assertEq(token.balanceOf(payer), 1_000, "not by its owner");
    }

    // ---------------------------------------------------------------- receipts

    function testFuzz_only_the_recipient_collects_what_is_to_be_received(address thief) public {
        if (thief == shop) return;
        bytes memory signature = signedReceipt(KEY, payer, 10, NOW + 1);
        (uint8 v, bytes32 r, bytes32 s) = parts(signature);
        bytes memory notIts = abi.encodeWithSelector(IERC20Errors.ERC20InvalidReceiver.selector, shop);
        vm.startPrank(thief);
        vm.expectRevert(notIts);
        token.receiveWithAuthorization(payer, shop, 10, 0, NOW + 1, NONCE, signature);
        vm.expectRevert(notIts);
        token.receiveWithAuthorization(payer, shop, 10, 0, NOW + 1, NONCE, v, r, s);
        // Nor is it a transfer that anybody may send.
        vm.expectRevert(ERC3009.ERC3009InvalidSignature.selector);
        token.transferWithAuthorization(payer, shop, 10, 0, NOW + 1, NONCE, signature);
        vm.stopPrank();
        vm.prank(shop);
        token.receiveWithAuthorization(payer, shop, 10, 0, NOW + 1, NONCE, signature);
        assertEq(token.balanceOf(shop), 10, "received");
    }

    function test_a_transfer_cannot_be_collected_as_a_receipt() public {
        bytes memory signature = signedTransfer(KEY, payer, 10, 0, NOW + 1, NONCE);
        vm.expectRevert(ERC3009.ERC3009InvalidSignature.selector);
        vm.prank(shop);
        token.receiveWithAuthorization(payer, shop, 10, 0, NOW + 1, NONCE, signature);
    }

    function test_what_was_received_cannot_be_received_again() public {
        bytes memory signature = signedReceipt(KEY, payer, 10, NOW + 1);
        vm.startPrank(shop);
        token.receiveWithAuthorization(payer, shop, 10, 0, NOW + 1, NONCE, signature);
        vm.expectRevert(usedUp(NONCE));
        token.receiveWithAuthorization(payer, shop, 10, 0, NOW + 1, NONCE, signature);
        vm.stopPrank();
    }

    // ---------------------------------------------------------------- cancellations

    function testFuzz_a_cancelled_authorization_moves_nothing(bytes32 nonce) public {
        bytes memory signature = signedTransfer(KEY, payer, 10, 0, NOW + 1, nonce);
        bytes memory cancellation = signedCancellation(KEY, nonce);
        vm.prank(relayer);
        token.cancelAuthorization(payer, nonce, cancellation);
        assertTrue(token.authorizationState(payer, nonce), "the nonce is gone");
        vm.expectRevert(usedUp(nonce));
        token.transferWithAuthorization(payer, shop, 10, 0, NOW + 1, nonce, signature);
        vm.expectRevert(usedUp(nonce));
        token.cancelAuthorization(payer, nonce, cancellation);
    }

    function testFuzz_nobody_else_can_cancel(uint256 key) public {
        key = bound(key, 1, 1 << 250);
        if (key == KEY) return;
        bytes memory cancellation = signedCancellation(key, NONCE);
        vm.expectRevert(ERC3009.ERC3009InvalidSignature.selector);
        token.cancelAuthorization(payer, NONCE, cancellation);
    }

    // ---------------------------------------------------------------- words of this test

    function usedUp(bytes32 nonce) private view returns (bytes memory) {
        return abi.encodeWithSelector(ERC3009.ERC3009UsedAuthorization.selector, payer, nonce);
    }

    function signedTransfer(
        uint256 key,
        address from,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce
    ) private view returns (bytes memory) {
        bytes32 typeHash = keccak256(
            "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,"
            "uint256 validBefore,bytes32 nonce)"
        );
        return
            signedStruct(key, keccak256(abi.encode(typeHash, from, shop, value, validAfter, validBefore, nonce)));
    }

    function signedReceipt(uint256 key, address from, uint256 value, uint256 validBefore)
        private
        view
        returns (bytes memory)
    {
        bytes32 typeHash = keccak256(
            "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,"
            "uint256 validBefore,bytes32 nonce)"
        );
        return signedStruct(key, keccak256(abi.encode(typeHash, from, shop, value, 0, validBefore, NONCE)));
    }

    function signedCancellation(uint256 key, bytes32 nonce) private view returns (bytes memory) {
        bytes32 typeHash = keccak256("CancelAuthorization(address authorizer,bytes32 nonce)");
        return signedStruct(key, keccak256(abi.encode(typeHash, payer, nonce)));
    }

    function signedStruct(uint256 key, bytes32 structHash) private view returns (bytes memory) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Cortensor"),
                keccak256("1"),
                block.chainid,
                address(token)
            )
        );
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, keccak256(abi.encodePacked("\x19\x01", domain, structHash)));
        return abi.encodePacked(r, s, v);
    }

    function deployToken(address holder) private returns (CortensorToken) {
        return CortensorToken(deploy("CortensorToken", abi.encode(holder, SUPPLY)));
    }

    function parts(bytes memory signature) private pure returns (uint8 v, bytes32 r, bytes32 s) {
        assembly ("memory-safe") {
            r := mload(add(signature, 0x20))
            s := mload(add(signature, 0x40))
        }
        v = uint8(signature[64]);
    }
}
