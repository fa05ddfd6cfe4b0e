// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @title The network's token, $COR. The whole supply is minted at deployment, and no more can be minted.
/// @notice A holder without gas can pay by signature. `permit` gives a spender an allowance. An authorization of
///         ERC-3009 moves an amount to one recipient, once and within a period. Both kinds of signatures have the
///         EIP-712 domain ("Cortensor", "1", this chain, this contract).
/// @dev OpenZeppelin implements the functions of ERC-3009 that take `v, r, s`. The functions below take `bytes`, as
///      those of USDC do. They also accept signatures of contract wallets (ERC-1271), and clients of x402 call them.
contract CortensorToken is ERC20Permit, ERC3009 {
    /// @param treasury receives the whole supply
    /// @param supply in wei
    constructor(address treasury, uint256 supply) ERC20("Cortensor", "COR") ERC20Permit("Cortensor") {
        _mint(treasury, supply);
    }

    /// @notice Moves `value` from `from` to `to`, authorized by a signature of `from`. Anyone may call it. An
    ///         authorization can be used once.
    /// @param validAfter the time after which the authorization is valid, in seconds since 1970
    /// @param validBefore the time from which the authorization is no longer valid, in seconds since 1970
    /// @param nonce any 32 bytes that `from` has not used before
    /// @param signature over TransferWithAuthorization: r, s, v of `from`'s key, or a signature that its contract
    ///        accepts
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external {
        bytes32 terms = keccak256(
            abi.encode(TRANSFER_WITH_AUTHORIZATION_TYPEHASH, from, to, value, validAfter, validBefore, nonce)
        );
        _requireSigned(from, terms, signature);
        _transferWithAuthorization(from, to, value, validAfter, validBefore, nonce);
    }

    /// @notice Like `transferWithAuthorization`, but only `to` may call it. A recipient that keeps accounts of its
    ///         payments needs this: no other account can make the transfer without the recipient's code running.
    /// @param signature over ReceiveWithAuthorization
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external {
        bytes32 terms = keccak256(
            abi.encode(RECEIVE_WITH_AUTHORIZATION_TYPEHASH, from, to, value, validAfter, validBefore, nonce)
        );
        _requireSigned(from, terms, signature);
        if (to != msg.sender) revert ERC20InvalidReceiver(to);
        _transferWithAuthorization(from, to, value, validAfter, validBefore, nonce);
    }

    /// @notice Cancels an unused authorization.
    /// @param signature over CancelAuthorization
    function cancelAuthorization(address authorizer, bytes32 nonce, bytes calldata signature) external {
        _requireSigned(
            authorizer, keccak256(abi.encode(CANCEL_AUTHORIZATION_TYPEHASH, authorizer, nonce)), signature
        );
        _cancelAuthorization(authorizer, nonce);
    }

    function _requireSigned(address signer, bytes32 terms, bytes calldata signature) private view {
        bytes32 digest = _hashTypedDataV4(terms);
        if (!SignatureChecker.isValidSignatureNowCalldata(signer, digest, signature)) {
            revert ERC3009InvalidSignature();
        }
    }
}
